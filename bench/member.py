"""A member: an endpoint of a conference whose group key changes, with sockets for media and for key messages.

    member = await KeyedPhone.open("bob", conference="room")
    driver.join(member.joiner(), member.key_address)

`control.member` keeps its keys; here they meet SRTP, a packet at a time, as in any client. It writes down what it
could read and, octet by octet, all that arrived: an adversary's look at somebody's line.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Callable
from typing import Any, Final

from bench.srtp import PacketSession
from control.member import Member, MemberKey
from control.rekey.conductor import Joiner
from mixer import port
from mixer.secret import Secret
from mixer.suites import SuiteName

SUITE: Final[SuiteName] = "AES_CM_128_HMAC_SHA1_80"
FOCUS: Final = "focus"
_TAG: Final = 10
_MKI: Final = 4


class KeyedPhone:
    """One member on loopback. Streams that last longer than a rollover of the sequence are beyond it: libsrtp keeps
    a rollover counter for each key, where a client keeps one for each SSRC."""

    def __init__(self, name: str, conference: str) -> None:
        self.name, self.conference = name, conference
        self.leg = f"{conference}/{name}"
        self.psk = Secret(secrets.token_bytes(16))
        self.member = Member(self.leg, self.psk, focus=FOCUS, conference=conference)
        self.arrived: list[tuple[float, bytes]] = []
        """When (s, monotonic) and what, as it came."""
        self.read: list[tuple[float, bytes, bytes]] = []
        """When, under which MKI, and the clear packet."""
        self.refused = 0
        self.acknowledged: list[float] = []
        self._sessions: dict[bytes, PacketSession] = {}
        self._media: asyncio.DatagramTransport
        self._keys: asyncio.DatagramTransport

    @classmethod
    async def open(cls, name: str, conference: str, host: str = "127.0.0.1") -> KeyedPhone:
        """A member with two sockets of its own."""
        phone = cls(name, conference)
        loop = asyncio.get_running_loop()
        phone._media, _ = await loop.create_datagram_endpoint(lambda: _Ear(phone._hear), (host, 0))
        phone._keys, _ = await loop.create_datagram_endpoint(lambda: _Ear(phone._told), (host, 0))
        return phone

    def close(self) -> None:
        self._media.close()
        self._keys.close()

    @property
    def key_address(self) -> tuple[str, int]:
        """Where it takes key messages."""
        host, number = self._keys.get_extra_info("sockname")[:2]
        return host, number

    def joiner(self) -> Joiner:
        """What the signalling agrees on: where it hears, and the key of its own that it begins on."""
        mki, own = (0x8000_0000 | secrets.randbits(31)).to_bytes(4), Secret(secrets.token_bytes(30))
        self.member.own(mki, own, SUITE)
        host, number = self._media.get_extra_info("sockname")[:2]
        leg = port.LegAdd(
            conference=self.conference,
            leg=self.leg,
            direction="recvonly",
            tx=port.Key(suite=SUITE, secret=own, mki=mki.hex()),
            remote=f"{host}:{number}",
            timeout_s=0.0,
        )
        return Joiner(leg, self.psk)

    def _told(self, octets: bytes, address: tuple[str, int]) -> None:
        answer = self.member.receive(octets, now=time.monotonic())
        if answer is not None:
            self.acknowledged.append(time.monotonic())
            self._keys.sendto(answer, address)

    def _hear(self, octets: bytes, address: tuple[str, int]) -> None:
        now = time.monotonic()
        if len(octets) < 12 + _TAG + _MKI or 192 <= octets[1] <= 223:
            return
        self.arrived.append((now, octets))
        mki = octets[-_TAG - _MKI : -_TAG]
        clear = self._open(mki, octets)
        if clear is None:
            self.refused += 1
            return
        self.read.append((now, mki, clear))
        self.member.used(mki, now=now)
        self.member.advance(now=now)

    def _open(self, mki: bytes, octets: bytes) -> bytes | None:
        key = self.member.key(mki)
        if key is None:
            return None
        if mki not in self._sessions:
            self._sessions[mki] = opener(key)
        return self._sessions[mki].unprotect(octets)

    def reads(self, capture: list[tuple[float, bytes]]) -> int:
        """How many packets of somebody else's line it can open with all that it has and can derive."""
        return sum(self._spy(octets) for _, octets in capture)

    def _spy(self, octets: bytes) -> bool:
        key = self.member.key(octets[-_TAG - _MKI : -_TAG])
        return key is not None and opener(key).unprotect(octets) is not None


def opener(key: MemberKey) -> PacketSession:
    """A session of libsrtp for what a member holds."""
    return PacketSession(key.suite, key.secret.reveal(), mki=key.mki)


class _Ear(asyncio.DatagramProtocol):
    def __init__(self, hear: Callable[[bytes, Any], None]) -> None:
        self._hear = hear

    def datagram_received(self, data: bytes, addr: tuple[Any, ...]) -> None:
        self._hear(data, addr)
