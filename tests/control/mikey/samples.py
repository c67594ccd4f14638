"""Strategies for every payload, values to begin with, and ways to spoil a message."""

from __future__ import annotations

from collections.abc import Callable

from hypothesis import strategies as st

from control.mikey.header import EmptyMap, GenericMap, GenericSession, Header, SrtpMap, SrtpSession
from control.mikey.keydata import Interval, Kemac, KeyData, Spi
from control.mikey.message import Message
from control.mikey.numbers import MAC_LENGTH, SALTED, TS_LENGTH, KeyType, TsType
from control.mikey.payloads import (
    Fault,
    GeneralExtension,
    Identity,
    Payload,
    Rand,
    RoleIdentity,
    RoleRand,
    RoleTimestamp,
    Timestamp,
    Verification,
)
from control.mikey.policy import SecurityPolicy
from control.mikey.psk import Receiver, Sender
from control.mikey.push import Delivery, Push
from control.mikey.ticket_payload import Flag, Ticket, TicketPolicy
from mixer.secret import Secret
from mixer.suites import SUITES

FOCUS, ALICE, BOB = b"sip:focus@example.net", b"sip:alice@example.net", b"sip:bob@example.net"
RAND = bytes(range(100, 116))
CSB = 0xC0FFEE01


def psk(seed: int = 1) -> Secret:
    return Secret(bytes((seed + at) % 256 for at in range(32)))


def tgk_push(*, mki: bytes = b"\0\0\0\2", verify: bool = True, seed: int = 9) -> Push:
    """A push of an epoch secret for one stream."""
    sessions = (SrtpSession(0, 0x11223344, 1),)
    return Push(sessions, "AEAD_AES_128_GCM", "tgk", psk(seed), mki, verify)


def tek_push() -> Push:
    """A push of a ready SRTP key for two streams with policies of their own numbers."""
    sessions = SrtpSession(3, 0x11223344, 0), SrtpSession(1, 0xFFFFFFFF, 0xFFFFFFFF)
    return Push(sessions, "AES_CM_128_HMAC_SHA1_80", "tek", Secret(bytes(range(50, 80))), b"\xff\0\0\7")


def sender(seed: int = 1, peer: bytes = ALICE, clock: TsType = TsType.COUNTER) -> Sender:
    return Sender(psk(seed), identity=FOCUS, peer=peer, csb_id=CSB, rand=RAND, clock=clock)


def receiver(seed: int = 1, identity: bytes = ALICE, not_before: int = 0) -> Receiver:
    return Receiver(psk(seed), identity=identity, peer=FOCUS, not_before=not_before)


def deliver(to: Receiver, octets: bytes) -> tuple[Delivery, bytes]:
    """What a push brings that is new and asks for an answer."""
    delivery, answer = to.accept(octets)
    assert delivery is not None
    assert answer is not None
    return delivery, answer


# ---------------------------------------------------------------------------------------------
# strategies

octet = st.integers(0, 0xFF)
word = st.integers(0, 0xFFFF_FFFF)
short = st.binary(max_size=40)
secrets = st.binary(min_size=1, max_size=40).map(Secret)

timestamps = st.sampled_from(sorted(TS_LENGTH)).flatmap(
    lambda kind: st.builds(Timestamp, st.integers(0, (1 << 8 * TS_LENGTH[kind]) - 1), st.just(kind))
)
role_timestamps = st.builds(lambda role, at: RoleTimestamp(role, at.value, at.kind), octet, timestamps)


def _with_mac(build: Callable[[int, bytes], Payload]) -> st.SearchStrategy[Payload]:
    return st.sampled_from(sorted(MAC_LENGTH)).flatmap(
        lambda kind: st.builds(build, st.just(kind), st.binary(min_size=MAC_LENGTH[kind], max_size=MAC_LENGTH[kind]))
    )


policies = st.builds(SecurityPolicy, octet, st.lists(st.tuples(octet, short), max_size=6).map(tuple), octet)
ticket_policies = st.builds(
    TicketPolicy, st.integers(0, 0xFFF).map(Flag), short, st.integers(0, 0xFFFF), octet, octet, st.integers(0, 0x7F)
)

payloads: st.SearchStrategy[Payload] = st.one_of(
    timestamps,
    role_timestamps,
    st.builds(Rand, st.binary(max_size=255)),
    st.builds(RoleRand, octet, short),
    st.builds(Identity, short, octet),
    st.builds(RoleIdentity, octet, short, octet),
    _with_mac(Verification),
    st.binary(max_size=60).flatmap(lambda data: _with_mac(lambda kind, mac: Kemac(data, 1, kind, mac))),
    st.builds(Fault, octet),
    st.builds(GeneralExtension, octet, short),
    policies,
    ticket_policies,
    st.builds(Ticket, ticket_policies, short, short),
)

srtp_maps = st.lists(st.builds(SrtpSession, octet, word, word), max_size=5).map(lambda each: SrtpMap(tuple(each)))
generic_sessions = st.builds(
    GenericSession, octet, st.lists(octet, max_size=4).map(tuple), short, st.booleans(), short, octet
)
generic_maps = st.lists(generic_sessions, max_size=4).map(lambda each: GenericMap(tuple(each)))
headers = st.builds(
    Header,
    octet,
    word,
    st.one_of(srtp_maps, generic_maps, st.just(EmptyMap())),
    st.booleans(),
    st.integers(0, 0x7F),
)
messages = st.builds(Message, headers, st.lists(payloads, max_size=8).map(tuple))

validities = st.one_of(st.none(), st.builds(Spi, short), st.builds(Interval, short, short))
keys = st.sampled_from(KeyType).flatmap(
    lambda kind: st.builds(KeyData, st.just(kind), secrets, secrets if kind in SALTED else st.none(), validities)
)

pushes = st.sampled_from(sorted(SUITES)).flatmap(
    lambda suite: st.builds(
        Push,
        st.lists(st.builds(SrtpSession, octet, word, word), min_size=1, max_size=5).map(tuple),
        st.just(suite),
        st.just("tek"),
        st.binary(min_size=SUITES[suite].secret, max_size=SUITES[suite].secret).map(Secret),
        st.binary(min_size=4, max_size=4),
        st.booleans(),
    )
)


# ---------------------------------------------------------------------------------------------
# damage


@st.composite
def spoiled(draw: st.DrawFn, valid: bytes) -> bytes:
    """A valid message with octets changed, cut off, put in or put behind."""
    octets = bytearray(valid)
    for _ in range(draw(st.integers(1, 4))):
        how = draw(st.sampled_from(("change", "cut", "insert", "append")))
        at = draw(st.integers(0, max(0, len(octets) - 1)))
        if how == "change" and octets:
            octets[at] = draw(octet)
        elif how == "cut":
            del octets[at:]
        elif how == "insert":
            octets[at:at] = draw(st.binary(min_size=1, max_size=8))
        else:
            octets += draw(st.binary(min_size=1, max_size=8))
    return bytes(octets)


def flips(octets: bytes) -> list[bytes]:
    """All messages that differ from this one in one bit."""
    whole = int.from_bytes(octets)
    return [(whole ^ 1 << bit).to_bytes(len(octets)) for bit in range(8 * len(octets))]
