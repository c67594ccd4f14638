"""MACs and encryption of the ticket exchanges: RFC 6043 sections 5.1.2 and 5.5.

Knows what a MAC covers; must never know who may do what. Always the 256-bit algorithms: AES-CM-256,
HMAC-SHA-256-256 and PRF-HMAC-SHA-256 (section 12.1 wants them for keys of more than 128 bits).

    initial message     || identity of the sender || identity of the receiver
    answer              || the whole initial message
    TRANSFER_INIT       the same as an initial message, but without the initiator data of its ticket

Keys inside an answer are encrypted under its own timestamp: the RFC speaks of that of the initiator, and
gives answers a fresh one (section 4.2.1.5).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Final

from control.mikey.cipher import KeyStream, check_mac, mac
from control.mikey.errors import Malformed, Refused
from control.mikey.keydata import Kemac, KeyData, read_keys, write_keys
from control.mikey.message import Message
from control.mikey.numbers import MAC_LENGTH, DataType, EncrAlg, ErrorNo, MacAlg, PayloadType, Prf, RandRole
from control.mikey.payloads import Payload, RoleRand, Timestamp, Verification
from control.mikey.prf import MessageKeys, exchange_keys
from control.mikey.report import reported
from control.mikey.ticket_payload import Ticket
from mixer.secret import Secret

KEY_OCTETS: Final = 32
"""Length of the keys that are made here."""

MIN_KEY: Final = 16
"""Octets of any key, at least (RFC 6043 section 12.1)."""

MAC: Final = MacAlg.HMAC_SHA_256_256
MAC_OCTETS: Final = MAC_LENGTH[MAC]


def kept(key: Secret, name: str = "PSK") -> Secret:
    """A copy of a key that somebody else may wipe. Raises Malformed if it is shorter than 16 octets."""
    if len(key) < MIN_KEY:
        raise Malformed(f"a {name} has {MIN_KEY} octets, at least")
    return Secret(key.reveal())


def rand_octets(psk: Secret) -> int:
    """How long a RAND must be: as the longest key that it stands beside (RFC 6043 section 12.1)."""
    return max(KEY_OCTETS, len(psk))


@dataclass(frozen=True, slots=True)
class Pair:
    """The keys of an initial message, and those of its answer."""

    initial: MessageKeys
    answer: MessageKeys


def exchange(key: Secret, csb_id: int, role: RandRole, rand: bytes) -> Pair:
    """The keys of an exchange, from a PSK or MPK and the one RAND that goes into them."""
    rand_i, rand_r = (rand, b"") if role == RandRole.INITIATOR else (b"", rand)
    return Pair(
        exchange_keys(key, csb_id=csb_id, answer=False, rand_i=rand_i, rand_r=rand_r),
        exchange_keys(key, csb_id=csb_id, answer=True, rand_i=rand_i, rand_r=rand_r),
    )


def sealed(message: Message, keys: MessageKeys, suffix: bytes) -> bytes:
    """A message with its MAC put at the end, in a V payload of its own."""
    whole = replace(message, payloads=(*message.payloads, Verification(MAC, b"")))
    return whole.encode() + mac(MAC, keys.authentication, _covered(whole) + suffix)


def check(message: Message, octets: bytes, keys: MessageKeys, suffix: bytes) -> None:
    """Raise Forged unless the MAC at the end of a message is right. `octets` are those of the message."""
    claimed = claimed_mac(message)
    covered = _covered(message) if message.header.data_type == DataType.TRANSFER_INIT else octets
    check_mac(MAC, keys.authentication, covered[:-MAC_OCTETS] + suffix, claimed)


def claimed_mac(message: Message) -> bytes:
    """The MAC that a message ends with.

    Raises:
        Malformed: if it ends with something else.
        Refused: if it is made by other algorithms than ours.
    """
    last = message.one(Verification)
    if message.payloads[-1] is not last:
        raise Malformed("the MAC is not at the end of the message")
    if message.header.prf != Prf.HMAC_SHA_256:
        raise Refused("only PRF-HMAC-SHA-256 is taken", ErrorNo.INVALID_PRF)
    if last.algorithm != MAC:
        raise Refused("only HMAC-SHA-256-256 is taken", ErrorNo.INVALID_MAC)
    return last.mac


def check_answer(message: Message, octets: bytes, expected: DataType, keys: Pair, initial: bytes) -> None:
    """Raise unless a message is the answer to `initial`: Reported, Refused, Malformed or Forged."""
    if message.header.data_type == DataType.ERROR:
        raise reported(message, octets, MAC, keys.initial.authentication)
    if message.header.data_type != expected:
        raise Refused(f"the answer is no {expected.name}")
    check(message, octets, keys.answer, initial)


def encrypted(keys: Sequence[KeyData], by: MessageKeys, csb_id: int, clock: Timestamp) -> Kemac:
    """A KEMAC without MAC, for a V payload has it."""
    data = KeyStream(by.encryption, by.salt).apply(write_keys(keys), csb_id=csb_id, timestamp=clock.wide)
    return Kemac(data, EncrAlg.AES_CM_256, MacAlg.NULL)


def decrypted(kemac: Kemac, by: MessageKeys, csb_id: int, clock: Timestamp) -> tuple[KeyData, ...]:
    """The keys in a KEMAC whose message is authentic. Raises Malformed or Refused."""
    if (kemac.encryption, kemac.mac_algorithm) != (EncrAlg.AES_CM_256, MacAlg.NULL):
        raise Refused("keys are taken encrypted by AES-CM-256, without a MAC of their own", ErrorNo.INVALID_EA)
    stream = KeyStream(by.encryption, by.salt)
    return read_keys(stream.apply(kemac.data, csb_id=csb_id, timestamp=clock.wide))


def rand_of(message: Message, role: RandRole) -> bytes:
    """The RAND of this role. Raises Malformed unless there is exactly one."""
    found = [each.octets for each in message.all(RoleRand) if each.role == role]
    if len(found) != 1:
        raise Malformed(f"the message has {len(found)} RANDs of the {role.name.lower()}; it takes one")
    return found[0]


@dataclass(frozen=True, slots=True)
class _Granted:
    """A ticket without its initiator data and their length."""

    ticket: Ticket

    TYPE: ClassVar = PayloadType.TICKET

    def body(self) -> bytes:
        return self.ticket.granted()


def _covered(message: Message) -> bytes:
    """The octets that a MAC covers, with the MAC itself still behind them if it is there."""
    if message.header.data_type != DataType.TRANSFER_INIT:
        return message.encode()
    parts: list[Payload] = [_Granted(each) if isinstance(each, Ticket) else each for each in message.payloads]
    return replace(message, payloads=tuple(parts)).encode()
