"""A push: one key of a group, and the SRTP streams that it is for.

Knows what a focus tells a member and how it lies in payloads; must never know how a message is
protected, nor who is a member.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

from control.mikey import prf
from control.mikey.errors import Malformed, Refused
from control.mikey.header import SrtpMap, SrtpSession
from control.mikey.keydata import KeyData, Spi, read_keys, write_keys
from control.mikey.message import Message
from control.mikey.numbers import KeyType
from control.mikey.policy import SecurityPolicy, policy_of, suite_of
from mixer.secret import Secret
from mixer.suites import SUITES, SuiteName

MKI_OCTETS: Final = 4
"""Length of the MKI of a group key."""


@dataclass(frozen=True, slots=True)
class Push:
    """A key and its streams.

    Raises:
        Malformed: if a part does not fit the others.
    """

    sessions: tuple[SrtpSession, ...]
    """The streams under this key, 1 to 255. The first has the crypto session id 1 (RFC 3830 section 6.1.1)."""
    suite: SuiteName
    kind: Literal["tgk", "tek"]
    """`tgk`: the secret is of 16 to 64 octets, usually 32, and each stream's key is derived from it.
    `tek`: the secret is master key || master salt, and serves all streams as it is."""
    secret: Secret
    mki: bytes
    """Four octets; as a number, the epoch."""
    verify: bool = True
    """Ask for an acknowledgement."""

    def __post_init__(self) -> None:
        if not 1 <= len(self.sessions) <= 255:
            raise Malformed(f"a push is for 1 to 255 streams, not {len(self.sessions)}")
        if len(self.mki) != MKI_OCTETS:
            raise Malformed(f"the MKI of a group key has {MKI_OCTETS} octets, not {len(self.mki)}")
        length = len(self.secret)
        if self.kind == "tek" and length != SUITES[self.suite].secret:
            raise Malformed(f"{self.suite} takes {SUITES[self.suite].secret} octets of key || salt, not {length}")
        if self.kind == "tgk" and not 16 <= length <= 64:
            raise Malformed(f"a TGK has 16 to 64 octets, not {length}")

    @property
    def epoch(self) -> int:
        """The number of the group key's reign."""
        return int.from_bytes(self.mki)

    @property
    def map(self) -> SrtpMap:
        """The streams as the header has them."""
        return SrtpMap(self.sessions)

    def policies(self) -> list[SecurityPolicy]:
        """A policy payload for each policy number in use."""
        return [policy_of(self.suite, number) for number in dict.fromkeys(each.policy for each in self.sessions)]

    def key_data(self) -> bytes:
        """The key as the plain text of a KEMAC. Key octets: keep them no longer than it takes to encrypt."""
        spi = Spi(self.mki)
        if self.kind == "tgk":
            return write_keys((KeyData(KeyType.TGK, self.secret, None, spi),))
        octets, length = self.secret.reveal(), SUITES[self.suite].key
        return write_keys((KeyData(KeyType.TEK_SALT, Secret(octets[:length]), Secret(octets[length:]), spi),))


def push_of(message: Message, key_data: bytes) -> Push:
    """The push that an authentic message is, given the plain text of its KEMAC.

    Raises:
        Malformed: if it is none.
        Refused: if it is one that is not supported: another map, no key or several, a key without MKI,
            a TEK without salt, a TGK with one, policies that stand for several suites or none.
    """
    session_map = message.header.map
    if not isinstance(session_map, SrtpMap):
        raise Refused("a key push maps its crypto sessions by SRTP-ID")
    suite = _suite_of(session_map.sessions, message.all(SecurityPolicy))
    keys = read_keys(key_data)
    if len(keys) != 1:
        raise Refused(f"a key push brings one key, not {len(keys)}")
    (key,) = keys
    if not isinstance(key.validity, Spi):
        raise Refused("the key has no MKI")
    mki, verify = key.validity.octets, message.header.verify
    if key.kind == KeyType.TGK:
        return Push(session_map.sessions, suite, "tgk", key.key, mki, verify)
    if key.kind == KeyType.TEK_SALT and key.salt is not None:
        return Push(session_map.sessions, suite, "tek", _joined(key.key, key.salt, suite), mki, verify)
    raise Refused(f"a key push brings a TGK or a TEK with its salt, not a key of the type {key.kind.name}")


@dataclass(frozen=True, slots=True)
class Delivery:
    """A push as it reached a member."""

    push: Push
    csb_id: int
    rand: bytes
    timestamp: int

    def srtp_key(self, cs_id: int = 1) -> Secret:
        """Master key || master salt of the stream that stands at this place of the map, counted from 1.

        Raises:
            Malformed: if the map has no such place.
        """
        push = self.push
        if not 1 <= cs_id <= len(push.sessions):
            raise Malformed(f"the push has no crypto session {cs_id}")
        if push.kind == "tek":
            return push.secret
        return prf.srtp_key(push.secret, csb_id=self.csb_id, cs_id=cs_id, rand=self.rand, suite=push.suite)


def _suite_of(sessions: Sequence[SrtpSession], policies: Sequence[SecurityPolicy]) -> SuiteName:
    by_number = {policy.number: policy for policy in policies}
    if len(by_number) != len(policies):
        raise Malformed("two policies have the same number")
    try:
        suites = {suite_of(by_number[session.policy]) for session in sessions}
    except KeyError:
        raise Malformed("a stream names a policy that the message does not have") from None
    if len(suites) != 1:
        raise Refused(f"a key push is for one suite, not {len(suites)}")
    return suites.pop()


def _joined(key: Secret, salt: Secret, suite: SuiteName) -> Secret:
    if (len(key), len(salt)) != (SUITES[suite].key, SUITES[suite].salt):
        raise Malformed(f"the TEK or its salt has not the length that {suite} takes")
    return Secret(key.reveal() + salt.reveal())
