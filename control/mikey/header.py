"""The common header (RFC 3830 section 6.1, RFC 6043 section 6.1) and its maps of crypto sessions.

Knows which stream is which crypto session; must never know what the message says about them.

    version | data type | next payload | V, PRF func | CSB ID (4) | #CS | map type | map ...
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TypeAlias

from control.mikey.errors import Malformed
from control.mikey.numbers import VERSION, MapType, Prf, Protocol
from control.mikey.octets import Reader, counted


@dataclass(frozen=True, slots=True)
class SrtpSession:
    """One SRTP stream in an SRTP-ID map. Its crypto session id is its place in the map, counted from 1."""

    policy: int
    """Number of the security policy payload that applies."""
    ssrc: int
    roc: int
    """The stream's rollover counter now; 0 if it has not started."""


@dataclass(frozen=True, slots=True)
class SrtpMap:
    """SRTP-ID (RFC 3830 section 6.1.1)."""

    sessions: tuple[SrtpSession, ...]

    TYPE = MapType.SRTP_ID

    def body(self) -> bytes:
        return b"".join([_SRTP_ID.pack(session.policy, session.ssrc, session.roc) for session in self.sessions])

    @property
    def count(self) -> int:
        return len(self.sessions)


@dataclass(frozen=True, slots=True)
class EmptyMap:
    """No crypto session is spoken of here (RFC 4563 section 5)."""

    TYPE = MapType.EMPTY

    def body(self) -> bytes:
        return b""

    @property
    def count(self) -> int:
        return 0


@dataclass(frozen=True, slots=True)
class GenericSession:
    """One crypto session in a GENERIC-ID map (RFC 6043 section 6.1.1)."""

    cs_id: int
    policies: tuple[int, ...]
    """Numbers of the policies offered; exactly one in a response."""
    session_data: bytes = b""
    """For SRTP: SSRC, and ROC and SEQ if `flag` is set. See `of_srtp` and `stream`."""
    flag: bool = False
    spi: bytes = b""
    """The SPI, for SRTP the MKI, of the key to begin with."""
    protocol: int = Protocol.SRTP

    @classmethod
    def of_srtp(cls, cs_id: int, policy: int, *, ssrc: int, roc: int, seq: int, mki: bytes) -> GenericSession:
        """A crypto session for an SRTP stream that is at (roc, seq). Raises Malformed if they do not fit."""
        try:
            return cls(cs_id, (policy,), struct.pack(">IIH", ssrc, roc, seq), True, mki)
        except struct.error:
            raise Malformed("an SSRC or ROC has more than 32 bits, or a SEQ more than 16") from None

    def stream(self) -> tuple[int, int, int]:
        """SSRC, ROC and SEQ of an SRTP session; the latter two are 0 if the map leaves them out.

        Raises:
            Malformed: if the session data have another length.
        """
        if self.protocol == Protocol.SRTP and len(self.session_data) == (10 if self.flag else 4):
            ssrc, roc, seq = struct.unpack(">IIH", self.session_data.ljust(10, b"\0"))
            return ssrc, roc, seq
        raise Malformed("the session data of a crypto session are not those of an SRTP stream")

    def body(self) -> bytes:
        """The block of this session in the map."""
        if len(self.policies) > 0x7F:
            raise Malformed("a crypto session takes at most 127 policies")
        head = struct.pack(">BBB", self.cs_id, self.protocol, self.flag << 7 | len(self.policies))
        return head + bytes(self.policies) + counted(self.session_data, 2) + counted(self.spi, 1)


@dataclass(frozen=True, slots=True)
class GenericMap:
    """GENERIC-ID (RFC 6043 section 6.1.1), the map of ticket transfers."""

    sessions: tuple[GenericSession, ...]

    TYPE = MapType.GENERIC_ID

    def body(self) -> bytes:
        return b"".join(session.body() for session in self.sessions)

    @property
    def count(self) -> int:
        return len(self.sessions)


SessionMap: TypeAlias = SrtpMap | EmptyMap | GenericMap


@dataclass(frozen=True, slots=True)
class Header:
    """HDR. `data_type` and `prf` are plain integers: a receiver may meet values it cannot name."""

    data_type: int
    csb_id: int
    map: SessionMap = EmptyMap()
    verify: bool = False
    """The V flag: the initiator asks for an answer."""
    prf: int = Prf.MIKEY_1

    def encode(self, next_payload: int) -> bytes:
        """The header's octets, pointing at the payload that follows."""
        flags = self.verify << 7 | self.prf
        count, kind = self.map.count, self.map.TYPE
        return _FIXED.pack(VERSION, self.data_type, next_payload, flags, self.csb_id, count, kind) + self.map.body()

    @classmethod
    def read(cls, reader: Reader) -> tuple[Header, int]:
        """A header and the type of the payload that follows. Raises Malformed."""
        version, data_type, next_payload, flags, csb_id, count, kind = _FIXED.unpack(reader.take(_FIXED.size))
        if version != VERSION:
            raise Malformed(f"this is MIKEY version {version}; only version {VERSION} is spoken")
        session_map = _read_map(reader, kind, count)
        return cls(data_type, csb_id, session_map, bool(flags >> 7), flags & 0x7F), next_payload


def _read_map(reader: Reader, kind: int, count: int) -> SessionMap:
    if kind == MapType.SRTP_ID:
        return SrtpMap(tuple(SrtpSession(*_SRTP_ID.unpack(reader.take(_SRTP_ID.size))) for _ in range(count)))
    if kind == MapType.GENERIC_ID:
        return GenericMap(tuple(_read_generic(reader) for _ in range(count)))
    if kind != MapType.EMPTY:
        raise Malformed(f"the map of crypto sessions has the unknown type {kind}")
    if count:
        raise Malformed(f"an empty map counts {count} crypto sessions")
    return EmptyMap()


def _read_generic(reader: Reader) -> GenericSession:
    cs_id, protocol, flags = reader.take(3)
    policies = tuple(reader.take(flags & 0x7F))
    data = reader.counted(2)
    return GenericSession(cs_id, policies, data, bool(flags >> 7), reader.counted(1), protocol)


_FIXED = struct.Struct(">BBBBIBB")
_SRTP_ID = struct.Struct(">BII")
