"""What a caller opens packets with: the keys it was told, as many as it holds, and who can read what with them.

Knows: SRTP sessions by key, and the key messages of a member. Must never know: sockets, SIP, or when a key is due.

A session of libsrtp counts rollovers for each key. Streams of these callers begin below 2^15 and last some minutes,
so that there is none to count.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, Protocol

from bench.srtp import PacketSession
from control.member import Member, MemberKey
from mixer.secret import Secret
from mixer.suites import SUITES, Suite, SuiteName

HELD: Final = 3
"""Keys that a plain phone tries on a packet: the newest, and two that may still be in use."""
_MKI: Final = 4
_HEADER: Final = 12
_OWN: Final = 0x80
"""In the first octet of the MKI of a key that belongs to one leg alone (`control.rekey.epochs`)."""


class Keyring(Protocol):
    """Opens packets."""

    taken: int
    """Keys taken, the first included."""

    def take(self, suite: SuiteName, secret: Secret, mki: bytes = b"") -> bool:
        """Hold a key from the signalling; false if it is held already."""
        ...

    def open(self, packet: bytes, now: float) -> bytes | None:
        """The clear packet, or None."""
        ...

    def reads(self, capture: Iterable[bytes]) -> int:
        """How many packets of any line can be read with every key that was ever held here."""
        ...


class PlainKeys:
    """Of an SDES or DTLS phone: a key at a time, and the ones before it for a while."""

    def __init__(self) -> None:
        self.taken = 0
        self._ever: list[tuple[SuiteName, Secret, bytes]] = []
        self._held: list[PacketSession] = []

    def take(self, suite: SuiteName, secret: Secret, mki: bytes = b"") -> bool:
        if any(secret == known for _, known, _ in self._ever):
            return False
        self.taken += 1
        self._ever.append((suite, Secret(secret.reveal()), mki))
        self._held = [_opener(suite, secret, mki), *self._held][:HELD]
        return True

    def open(self, packet: bytes, now: float) -> bytes | None:
        for session in self._held:
            clear = session.unprotect(packet)
            if clear is not None:
                return clear
        return None

    def reads(self, capture: Iterable[bytes]) -> int:
        openers = [_opener(*key) for key in self._ever]
        return sum(any(opener.unprotect(packet) is not None for opener in openers) for packet in capture)


class MemberKeys:
    """Of an endpoint that takes group keys by MIKEY and derives more: the MKI of a packet says which it is under."""

    def __init__(self, member: Member) -> None:
        self.member = member
        self.taken = 0
        self._suite: Suite = SUITES["AES_CM_128_HMAC_SHA1_80"]
        self._ever: dict[bytes, Secret] = {}
        self._sessions: dict[bytes, tuple[MemberKey, PacketSession]] = {}
        self._given: dict[bytes, PacketSession] = {}
        """Group keys that came with the signalling: a member knows only of those that came by MIKEY."""

    def take(self, suite: SuiteName, secret: Secret, mki: bytes = b"") -> bool:
        if self._ever.get(mki) == secret:
            return False
        self._suite = SUITES[suite]
        if mki[0] & _OWN:
            self.member.own(mki, secret, suite)
        else:
            self._given[mki] = _opener(suite, secret, mki)
        self._note(mki, secret)
        return True

    def open(self, packet: bytes, now: float) -> bytes | None:
        mki = self._mki_of(packet)
        key = self.member.key(mki)
        if key is None:
            given = self._given.get(mki)
            return given.unprotect(packet) if given is not None else None
        clear = self._session(key).unprotect(packet)
        if clear is not None:
            self._note(mki, key.secret)
            self.member.used(mki, now=now)
            self.member.advance(now=now)
        return clear

    def reads(self, capture: Iterable[bytes]) -> int:
        openers: dict[bytes, PacketSession] = {}
        return sum(self._spy(packet, openers) for packet in capture)

    def _spy(self, packet: bytes, openers: dict[bytes, PacketSession]) -> bool:
        mki = self._mki_of(packet)
        key = self.member.key(mki)
        secret = key.secret if key is not None else self._ever.get(mki)
        if secret is None:
            return False
        if mki not in openers:
            openers[mki] = _opener(self._suite.name, secret, mki)
        return openers[mki].unprotect(packet) is not None

    def _session(self, key: MemberKey) -> PacketSession:
        """Another key may come under the same MKI, from another life of the focus."""
        known = self._sessions.get(key.mki)
        if known is None or known[0] is not key:
            known = self._sessions[key.mki] = key, _opener(key.suite, key.secret, key.mki)
        return known[1]

    def _note(self, mki: bytes, secret: Secret) -> None:
        if mki not in self._ever:
            self.taken += 1
            self._ever[mki] = Secret(secret.reveal())

    def _mki_of(self, packet: bytes) -> bytes:
        end = len(packet) - (0 if self._suite.aead else self._suite.tag)
        return packet[max(_HEADER, end - _MKI) : end]


class NoKeys:
    """Of a phone without SRTP: it reads whatever is clear."""

    taken = 1

    def take(self, suite: SuiteName, secret: Secret, mki: bytes = b"") -> bool:
        return False

    def open(self, packet: bytes, now: float) -> bytes | None:
        return packet

    def reads(self, capture: Iterable[bytes]) -> int:
        return 0


def _opener(suite: SuiteName, secret: Secret, mki: bytes) -> PacketSession:
    return PacketSession(suite, secret.reveal(), mki=mki)
