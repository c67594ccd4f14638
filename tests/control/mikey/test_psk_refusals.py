"""Pushes that a member does not take, and that a focus cannot make: named exceptions, and no trace left."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from control.mikey.errors import Malformed, MikeyError, Refused, Reported
from control.mikey.header import EmptyMap, GenericMap, GenericSession, Header, SessionMap, SrtpMap, SrtpSession
from control.mikey.keydata import Interval, Kemac, KeyData, Spi, write_keys
from control.mikey.message import Message, decode
from control.mikey.numbers import DataType, EncrAlg, ErrorNo, KeyType, MacAlg, TsType
from control.mikey.payloads import Fault, Identity, Payload, Rand, Timestamp, Verification
from control.mikey.policy import SecurityPolicy, policy_of
from control.mikey.psk import Receiver, Sender
from control.mikey.push import Push
from mixer.secret import Secret
from tests.control.mikey import naive, samples
from tests.control.mikey.samples import ALICE, CSB, FOCUS, RAND, deliver, psk, receiver, sender, tgk_push


def authentic(
    *,
    session_map: SessionMap = SrtpMap((SrtpSession(0, 1, 0),)),  # noqa: B008
    clock: Timestamp = Timestamp(1, TsType.COUNTER),  # noqa: B008
    rand: bytes = RAND,
    identities: tuple[bytes, ...] = (),
    policies: tuple[SecurityPolicy, ...] = (policy_of("AEAD_AES_128_GCM"),),
    keys: tuple[KeyData, ...] = (KeyData(KeyType.TGK, psk(), None, Spi(b"\0\0\0\1")),),
    encryption: int = EncrAlg.AES_CM_128,
    prf_number: int = 0,
) -> bytes:
    """A message with a right MAC, made without the product's Sender."""
    rest = b"\xff" + CSB.to_bytes(4) + rand
    encr, auth, salt = (
        naive.prf("sha1", psk().reveal(), bytes.fromhex(constant) + rest, bits)
        for constant, bits in (("150533E1", 128), ("2D22AC75", 160), ("29B88916", 112))
    )
    sealed = naive.aes_cm(encr, salt, CSB, clock.wide, write_keys(keys))
    named = [Identity(each) for each in identities]
    parts: list[Payload] = [clock, Rand(rand), *named, *policies, Kemac(sealed, encryption)]
    octets = Message(Header(DataType.PSK, CSB, session_map, True, prf_number), tuple(parts)).encode()
    return octets + naive.hmac("sha1", auth, octets)


def test_a_message_by_another_hand_is_taken() -> None:
    delivery, _ = deliver(receiver(), authentic())
    assert delivery.push.secret == psk()
    assert receiver().accept(authentic(identities=(FOCUS, ALICE)))[0] is not None
    ntp = Timestamp(0xEA00_0000_8000_0000, TsType.NTP)
    assert deliver(receiver(), authentic(clock=ntp))[0].timestamp == ntp.value


SPI = Spi(b"\0\0\0\1")


@pytest.mark.parametrize(
    ("octets", "kind"),
    [
        (authentic(session_map=EmptyMap()), Refused),
        (authentic(session_map=GenericMap((GenericSession(1, (0,)),))), Refused),
        (authentic(session_map=SrtpMap(())), Refused),
        (authentic(session_map=SrtpMap((SrtpSession(1, 1, 0),))), Malformed),
        (authentic(policies=()), Malformed),
        (authentic(policies=(policy_of("AEAD_AES_128_GCM"),) * 2), Malformed),
        (authentic(policies=(SecurityPolicy(0, ((0, b"\0"),)),)), Refused),
        (
            authentic(
                session_map=SrtpMap((SrtpSession(0, 1, 0), SrtpSession(1, 2, 0))),
                policies=(policy_of("AEAD_AES_128_GCM"), policy_of("AEAD_AES_256_GCM", 1)),
            ),
            Refused,
        ),
        (authentic(rand=bytes(15)), Refused),
        (authentic(clock=Timestamp(1, TsType.NTP_UTC_32)), Refused),
        (authentic(identities=(FOCUS,)), Refused),
        (authentic(identities=(ALICE, FOCUS)), Refused),
        (authentic(keys=()), Refused),
        (authentic(keys=(KeyData(KeyType.TGK, psk(), None, SPI),) * 2), Refused),
        (authentic(keys=(KeyData(KeyType.TGK, psk()),)), Refused),
        (authentic(keys=(KeyData(KeyType.TGK, psk(), None, Interval(bytes(6), bytes(6))),)), Refused),
        (authentic(keys=(KeyData(KeyType.TGK, psk(), None, Spi(b"\1")),)), Malformed),
        (authentic(keys=(KeyData(KeyType.TGK, Secret(bytes(15)), None, SPI),)), Malformed),
        (authentic(keys=(KeyData(KeyType.TGK_SALT, psk(), psk(), SPI),)), Refused),
        (authentic(keys=(KeyData(KeyType.GTGK, psk(), None, SPI),)), Refused),
        (authentic(keys=(KeyData(KeyType.TEK, Secret(bytes(16)), None, SPI),)), Refused),
        (authentic(keys=(KeyData(KeyType.TEK_SALT, Secret(bytes(16)), Secret(bytes(14)), SPI),)), Malformed),
        (authentic(encryption=EncrAlg.NULL), Refused),
        (authentic(encryption=2), Refused),
        (authentic(prf_number=1), Refused),
    ],
)
def test_what_is_not_taken_leaves_no_trace(octets: bytes, kind: type[MikeyError]) -> None:
    member = receiver()
    with pytest.raises(kind):
        member.accept(octets)
    assert deliver(member, authentic())[0].timestamp == 1


def test_an_update_keeps_rand_and_kind_of_timestamp() -> None:
    member = receiver()
    deliver(member, authentic())
    for change in (
        authentic(rand=bytes(16), clock=Timestamp(2, TsType.COUNTER)),
        authentic(clock=Timestamp(2, TsType.NTP_UTC)),
    ):
        with pytest.raises(Refused, match="an update changes"):
            member.accept(change)
    assert deliver(member, authentic(clock=Timestamp(2, TsType.COUNTER)))[0].timestamp == 2


def test_nothing_weaker_than_our_mac_is_looked_at() -> None:
    whole = decode(authentic())
    sealed = whole.one(Kemac)
    for weaker in (
        Kemac(sealed.data, sealed.encryption, MacAlg.NULL),
        Kemac(sealed.data, sealed.encryption, MacAlg.HMAC_SHA_256_256, bytes(32)),
    ):
        with pytest.raises(Refused):
            receiver().accept(Message(whole.header, (*whole.payloads[:-1], weaker)).encode())
    with pytest.raises(Malformed, match="end of the message"):
        receiver().accept(Message(whole.header, (*whole.payloads[::-1],)).encode())


@pytest.mark.parametrize("kind", [DataType.PSK_VERIFICATION, DataType.ERROR, DataType.TRANSFER_INIT, 2, 200])
def test_other_messages_are_not_pushes(kind: int) -> None:
    octets = authentic()
    with pytest.raises(Refused):
        receiver().accept(octets[:1] + bytes((kind,)) + octets[2:])


def test_error_messages() -> None:
    """RFC 3830 section 5.1.2: without a MAC it is only a hint."""
    focus = sender()
    header = Header(DataType.ERROR, CSB)
    bare = Message(header, (Timestamp(1, TsType.COUNTER), Fault(ErrorNo.INVALID_SP), Fault(99)))
    with pytest.raises(Reported, match=r"invalid sp, error 99 \(not authenticated\)") as caught:
        focus.acknowledged(bare.encode())
    assert caught.value.numbers == (9, 99)
    assert not caught.value.authentic
    octets = Message(header, (*bare.payloads, Verification(MacAlg.HMAC_SHA_1_160, b""))).encode()
    label = bytes.fromhex("2D22AC75") + b"\xff" + CSB.to_bytes(4) + RAND
    mac = naive.hmac("sha1", naive.prf("sha1", psk().reveal(), label, 160), octets)
    for ending, is_authentic in ((mac, True), (bytes(20), False)):
        with pytest.raises(Reported) as caught:
            focus.acknowledged(octets + ending)
        assert caught.value.authentic is is_authentic


# ---------------------------------------------------------------------------------------------
# what cannot be made


def test_short_keys_and_rands_are_not_used() -> None:
    short = Secret(bytes(15))
    with pytest.raises(Malformed):
        Sender(short, identity=FOCUS, peer=ALICE, csb_id=1, rand=RAND)
    with pytest.raises(Malformed):
        Sender(psk(), identity=FOCUS, peer=ALICE, csb_id=1, rand=bytes(15))
    with pytest.raises(Malformed):
        Receiver(short, identity=ALICE, peer=FOCUS)


ONE = (SrtpSession(0, 1, 0),)


@pytest.mark.parametrize(
    ("sessions", "kind", "secret", "mki"),
    [
        ((), "tgk", 32, 4),
        (ONE * 256, "tgk", 32, 4),
        (ONE, "tgk", 15, 4),
        (ONE, "tgk", 65, 4),
        (ONE, "tek", 32, 4),
        (ONE, "tgk", 32, 3),
    ],
)
def test_pushes_that_do_not_fit(sessions: tuple[SrtpSession, ...], kind: str, secret: int, mki: int) -> None:
    with pytest.raises(Malformed):
        Push(sessions, "AEAD_AES_128_GCM", "tek" if kind == "tek" else "tgk", Secret(bytes(secret)), bytes(mki))


def test_a_push_that_cannot_be_written_costs_no_timestamp() -> None:
    focus = sender()
    with pytest.raises(Malformed):
        focus.push(Push((SrtpSession(0, 1 << 32, 0),), "AEAD_AES_128_GCM", "tgk", psk(), b"1234"), timestamp=1)
    assert focus.push(tgk_push(), timestamp=1)


# ---------------------------------------------------------------------------------------------
# fuzz


@given(st.binary(max_size=200))
def test_fuzz(octets: bytes) -> None:
    _only_mikey_errors(octets)


@settings(max_examples=300)
@given(samples.spoiled(sender().push(tgk_push(), timestamp=1)))
def test_fuzz_spoiled_push(octets: bytes) -> None:
    _only_mikey_errors(octets)


@given(samples.messages)
def test_fuzz_any_message(message: Message) -> None:
    _only_mikey_errors(message.encode())


def _only_mikey_errors(octets: bytes) -> None:
    """Nothing of this is authentic, unless the spoiling came to nothing."""
    if octets == sender().push(tgk_push(), timestamp=1):
        return
    with pytest.raises(MikeyError):
        receiver().accept(octets)
    with pytest.raises(MikeyError):
        sender().acknowledged(octets)


@given(st.binary(max_size=120))
def test_fuzz_keys_inside_an_authentic_message(clear: bytes) -> None:
    """A focus gone mad: the MAC is right, the plain text is noise."""
    rest = b"\xff" + CSB.to_bytes(4) + RAND
    encr, auth, salt = (
        naive.prf("sha1", psk().reveal(), bytes.fromhex(constant) + rest, bits)
        for constant, bits in (("150533E1", 128), ("2D22AC75", 160), ("29B88916", 112))
    )
    template = authentic(keys=())
    head = template[: -struct.calcsize(">HB20s") - 2]
    octets = head + b"\0\1" + struct.pack(">H", len(clear)) + naive.aes_cm(encr, salt, CSB, 1, clear) + b"\1"
    with pytest.raises((Malformed, Refused)):
        receiver().accept(octets + naive.hmac("sha1", auth, octets))
