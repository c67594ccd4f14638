"""The octets of the ticket exchanges, taken apart by hand with naive cryptography.

RFC 6043 has no vectors and no other implementation is at hand, so this is its text a second time: tables
5.1, 5.2, 6.x and A.1, sections 5.1.2 and 5.5, appendix A.
"""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from control.mikey.message import decode
from control.mikey.numbers import PayloadType
from control.mikey.payloads import RoleRand, Timestamp
from control.mikey.ticket_payload import Ticket, TicketPolicy
from control.mikey.ticket_request import Grant
from tests.control.mikey import naive
from tests.control.mikey.parties import (
    ALICE,
    FOCUS,
    KEYS,
    KMS,
    MKI,
    NOW,
    ROOM,
    authority,
    counting,
    holder,
    requester,
    transferred,
)
from tests.control.mikey.samples import psk


@dataclass(frozen=True)
class Wire:
    """All six messages of one ticket's way, and what the conference system knows of it."""

    request: bytes
    granted: bytes
    transfer: bytes
    resolve: bytes
    resolved: bytes
    confirmation: bytes
    grant: Grant


@pytest.fixture(scope="module")
def wire() -> Wire:
    kms, focus, alice = authority(fresh=counting()), requester(fresh=counting()), holder(fresh=counting())
    request = focus.request(ROOM, mki=MKI, now=NOW)
    granted = kms.answer(request, now=NOW)
    grant = focus.granted(granted, now=NOW)
    transfer = transferred(focus, grant)
    resolve = alice.resolve(transfer, now=NOW)
    resolved = kms.answer(resolve, now=NOW)
    _, confirmation = alice.resolved(resolved, now=NOW)
    return Wire(request, granted, transfer, resolve, resolved, confirmation, grant)


def keys(key: bytes, csb_id: bytes, which: int, rands: bytes) -> tuple[bytes, bytes, bytes]:
    """encr_key, auth_key, salt_key by section 5.1.2."""
    rest = b"\xff" + csb_id + bytes((which,)) + rands
    encryption = naive.prf("sha256", key, bytes.fromhex("150533E1") + rest, 256)
    authentication = naive.prf("sha256", key, bytes.fromhex("2D22AC75") + rest, 256)
    return encryption, authentication, naive.prf("sha256", key, bytes.fromhex("29B88916") + rest, 112)


def rand_of(octets: bytes, role: int) -> bytes:
    """A RAND with its length in front, as labels have it."""
    (rand,) = (each.octets for each in decode(octets).all(RoleRand) if each.role == role)
    return bytes((len(rand),)) + rand


def test_request(wire: Wire) -> None:
    """HDR, T, RANDRi, IDRi, IDRkms, TP, V; the MAC over it || Identity_i || Identity_kms."""
    kinds = [payload.TYPE.name for payload in decode(wire.request).payloads]
    assert kinds == ["T", "RANDR", "IDR", "IDR", "TP", "V"]
    assert wire.request[:2] + wire.request[3:4] == bytes.fromhex("01 0b 81")
    assert wire.request[8:10] == bytes.fromhex("00 01")
    _, authentication, _ = keys(KEYS[FOCUS].reveal(), wire.request[4:8], 1, rand_of(wire.request, 1) + b"\0")
    covered = wire.request[:-32] + FOCUS.encode() + KMS.encode()
    assert wire.request[-32:] == naive.hmac("sha256", authentication, covered)


def test_wished_policy(wire: Wire) -> None:
    """Section 6.10, octet by octet."""
    start, end = (((NOW + 2_208_988_800 + more) % 2**32).to_bytes(4) for more in (0, 3600))
    data = b"".join(
        (
            bytes.fromhex("0e"),
            bytes.fromhex("0e 03 01 0013") + KMS.encode(),
            bytes.fromhex("0d 01 01 0015") + FOCUS.encode(),
            bytes.fromhex("0d 02 03") + start,
            bytes.fromhex("01 03 03") + end,
            bytes.fromhex("0e 00 0029  00 41 0020") + bytes(32) + b"\x04" + MKI + b"\x00",
            bytes.fromhex("00 02 01 0014") + ROOM.encode(),
        )
    )
    # PRF 1 in 7 bits; D E F - H I J - - - N O; 5 reserved bits
    flags = int("0000001" + "111011100011" + "00000", 2).to_bytes(3)
    body = bytes.fromhex("0001 01 01") + flags + len(data).to_bytes(2) + data
    assert decode(wire.request).one(TicketPolicy).body() == body


def test_granted(wire: Wire) -> None:
    """HDR, T, IDRkms, TICKET, KEMAC, V; the MAC over it || the whole request."""
    message = decode(wire.granted)
    assert [payload.TYPE.name for payload in message.payloads] == ["T", "IDR", "TICKET", "KEMAC", "V"]
    csb_id, rands = wire.request[4:8], rand_of(wire.request, 1) + b"\0"
    assert wire.granted[4:8] == csb_id
    encryption, authentication, salt = keys(KEYS[FOCUS].reveal(), csb_id, 2, rands)
    assert wire.granted[-32:] == naive.hmac("sha256", authentication, wire.granted[:-32] + wire.request)
    clear = kemac_keys(wire.grant.mpk_i.reveal(), wire.grant.mpk_r.reveal(), wire.grant.group_key.reveal())
    assert kemac_data(wire.granted) == naive.aes_cm(
        encryption, salt, int.from_bytes(csb_id), message.one(Timestamp).value, clear
    )


def kemac_keys(mpk_i: bytes, second: bytes, group: bytes) -> bytes:
    """MPKi, MPKr or MPKr', GTGK: types 6, 6 and 4, each with an SPI."""
    first, second = (bytes.fromhex("14 61 0020") + mpk + bytes.fromhex("04 00000000") for mpk in (mpk_i, second))
    return first + second + bytes.fromhex("00 41 0020") + group + b"\x04" + MKI


def kemac_data(octets: bytes) -> bytes:
    """The encrypted keys; AES-CM-256, and no MAC of their own."""
    (kemac,) = (each.body() for each in decode(octets).payloads if each.TYPE == PayloadType.KEMAC)
    assert (kemac[0], kemac[-1]) == (3, 0)
    return kemac[3:-1]


def test_ticket(wire: Wire) -> None:
    """Appendix A: THDR, T, RAND, KEMAC, V; MPKi and MPKr come from the MPK inside."""
    ticket = decode(wire.granted).one(Ticket)
    data = ticket.data
    assert data[:4] == bytes.fromhex("05 0000 0b")
    stamp, rand = data[5:13], data[14:47]
    assert (data[4], data[13], rand[0], data[47:49]) == (0, 1, 32, bytes.fromhex("09 03"))
    encryption, authentication, salt = keys(psk(99).reveal(), b"\xff" * 4, 5, rand)
    length = int.from_bytes(data[49:51])
    clear = naive.aes_cm(encryption, salt, 0xFFFFFFFF, int.from_bytes(stamp), data[51 : 51 + length])
    assert clear[:4] == bytes.fromhex("14 61 0020")
    mpk, group = clear[4:36], clear[41:]
    assert group == bytes.fromhex("00 41 0020") + wire.grant.group_key.reveal() + b"\x04" + MKI
    label = b"\xff\xff\xff\xff\xff\x06" + rand
    assert wire.grant.mpk_i.reveal() == naive.prf("sha256", mpk, bytes.fromhex("220E99A2") + label, 256)
    assert wire.grant.mpk_r.reveal() == naive.prf("sha256", mpk, bytes.fromhex("1F4D675B") + label, 256)
    assert data[51 + length : 51 + length + 3] == bytes.fromhex("00 00 02")
    covered = ticket.policy.body() + len(data).to_bytes(2) + data[:-32]
    assert data[-32:] == naive.hmac("sha256", authentication, covered)


def test_transfer(wire: Wire) -> None:
    """HDR, T, RANDRi, IDRi, IDRr, SP, TICKET, V; the MAC leaves initiator data out, which repeat it."""
    message = decode(wire.transfer)
    kinds = [payload.TYPE.name for payload in message.payloads]
    assert kinds == ["T", "RANDR", "IDR", "IDR", "SP", "TICKET", "V"]
    data = message.one(Ticket).initiator_data
    tail = len(data).to_bytes(2) + data
    assert wire.transfer.count(tail) == 1
    rands = rand_of(wire.transfer, 1) + b"\0"
    _, authentication, _ = keys(wire.grant.mpk_i.reveal(), wire.transfer[4:8], 1, rands)
    covered = wire.transfer[:-32].replace(tail, b"") + FOCUS.encode() + ALICE.encode()
    assert wire.transfer[-32:] == naive.hmac("sha256", authentication, covered)
    assert data[:-32] == bytes.fromhex("09  09 02") + wire.transfer[-32:] + bytes.fromhex("00 02")
    label = bytes.fromhex("2D22AC75") + b"\xff\xff\xff\xff\xff\x04"
    own = naive.prf("sha256", wire.grant.mpk_r.reveal(), label, 256)
    assert data[-32:] == naive.hmac("sha256", own, data[:-32])


def test_resolve(wire: Wire) -> None:
    """HDR, T, RANDRr, IDRr, IDRkms, TICKET, V; the MAC over it || Identity_r || Identity_kms."""
    kinds = [payload.TYPE.name for payload in decode(wire.resolve).payloads]
    assert kinds == ["T", "RANDR", "IDR", "IDR", "TICKET", "V"]
    assert decode(wire.resolve).one(Ticket) == decode(wire.transfer).one(Ticket)
    _, authentication, _ = keys(KEYS[ALICE].reveal(), wire.resolve[4:8], 1, b"\0" + rand_of(wire.resolve, 2))
    covered = wire.resolve[:-32] + ALICE.encode() + KMS.encode()
    assert wire.resolve[-32:] == naive.hmac("sha256", authentication, covered)


def forked(wire: Wire) -> bytes:
    """MPKr' by section 5.1.1."""
    label = bytes.fromhex("2B288856") + b"\xff\xff\xff\xff\xff\x00" + len(ALICE).to_bytes(2) + ALICE.encode()
    return naive.prf("sha256", wire.grant.mpk_r.reveal(), label + rand_of(wire.resolved, 3), 256)


def test_resolved(wire: Wire) -> None:
    """HDR, T, IDRkms, KEMAC, IDRr, RANDRkms, V; the MAC over it || the whole RESOLVE_INIT."""
    message = decode(wire.resolved)
    assert [payload.TYPE.name for payload in message.payloads] == ["T", "IDR", "KEMAC", "IDR", "RANDR", "V"]
    csb_id, rands = wire.resolve[4:8], b"\0" + rand_of(wire.resolve, 2)
    encryption, authentication, salt = keys(KEYS[ALICE].reveal(), csb_id, 2, rands)
    assert wire.resolved[-32:] == naive.hmac("sha256", authentication, wire.resolved[:-32] + wire.resolve)
    clear = kemac_keys(wire.grant.mpk_i.reveal(), forked(wire), wire.grant.group_key.reveal())
    assert kemac_data(wire.resolved) == naive.aes_cm(
        encryption, salt, int.from_bytes(csb_id), message.one(Timestamp).value, clear
    )


def test_confirmation(wire: Wire) -> None:
    """HDR, T, IDRr, RANDRkms, V; under MPKr', the MAC over it || the whole TRANSFER_INIT."""
    message = decode(wire.confirmation)
    assert [payload.TYPE.name for payload in message.payloads] == ["T", "IDR", "RANDR", "V"]
    assert message.header.map == decode(wire.transfer).header.map
    assert rand_of(wire.confirmation, 3) == rand_of(wire.resolved, 3)
    rands = rand_of(wire.transfer, 1) + b"\0"
    _, authentication, _ = keys(forked(wire), wire.transfer[4:8], 2, rands)
    assert wire.confirmation[-32:] == naive.hmac("sha256", authentication, wire.confirmation[:-32] + wire.transfer)
