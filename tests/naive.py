"""The mixer as plain loops that nobody can doubt: the oracle of the tests of `mixer/`.

Knows: the standards, one packet and one sample at a time. Must never know: numpy tricks, the mixer, or
speed. Values are Python integers and floats; samples are lists.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

# -- G.711 ------------------------------------------------------------------------------------


def ulaw_value(code: int) -> int:
    """The 16-bit sample of a mu-law octet (ITU-T G.711 table 2a: 14 bits, left-aligned)."""
    code ^= 0xFF
    chord, step = code >> 4 & 7, code & 15
    magnitude = ((2 * step + 33) << chord) - 33
    return -4 * magnitude if code & 0x80 else 4 * magnitude


def alaw_value(code: int) -> int:
    """The 16-bit sample of an A-law octet (ITU-T G.711 table 1a: 13 bits, left-aligned)."""
    code ^= 0x55
    chord, step = code >> 4 & 7, code & 15
    magnitude = 2 * step + 1 if chord == 0 else (2 * step + 33) << (chord - 1)
    return 8 * magnitude if code & 0x80 else -8 * magnitude


def nearest_codes(values: Sequence[int], sample: int) -> set[int]:
    """Every code whose value is as near to a sample as any: more than one on a decision value."""
    best = min(abs(value - sample) for value in values)
    return {code for code, value in enumerate(values) if abs(value - sample) == best}


ULAW: Final = [ulaw_value(code) for code in range(256)]
ALAW: Final = [alaw_value(code) for code in range(256)]


# -- RTP --------------------------------------------------------------------------------------


class Malformed(Exception):
    """Not a packet; the message is the label of the `Drop` that it deserves."""


@dataclass(frozen=True)
class Rtp:
    """One RTP packet (RFC 3550 section 5.1)."""

    payload_type: int
    seq: int
    timestamp: int
    ssrc: int
    payload: bytes
    marker: bool = False
    csrcs: tuple[int, ...] = ()
    profile: int = 0
    extension: bytes = b""
    """Its words, without profile and length; looked at if `profile` is not 0."""
    padding: int = 0

    def pack(self) -> bytes:
        """The packet in octets."""
        flags = 0x80 | (0x20 if self.padding else 0) | (0x10 if self.profile else 0) | len(self.csrcs)
        octets = bytes([flags, self.payload_type | (0x80 if self.marker else 0)])
        octets += self.seq.to_bytes(2) + self.timestamp.to_bytes(4) + self.ssrc.to_bytes(4)
        octets += b"".join(csrc.to_bytes(4) for csrc in self.csrcs)
        if self.profile:
            words = -(-len(self.extension) // 4)
            octets += self.profile.to_bytes(2) + words.to_bytes(2) + self.extension.ljust(4 * words, b"\0")
        octets += self.payload
        if self.padding:
            octets += bytes(self.padding - 1) + bytes([self.padding])
        return octets

    def levels(self) -> dict[int, list[int]]:
        """One-byte header extensions by id (RFC 8285 section 4.2): the octets of each."""
        found: dict[int, list[int]] = {}
        at = 0
        while self.profile == 0xBEDE and at < len(self.extension):
            identifier, size = self.extension[at] >> 4, (self.extension[at] & 15) + 1
            if self.extension[at] == 0:
                at += 1
                continue
            if identifier == 15 or at + 1 + size > len(self.extension):
                break
            if identifier:
                found[identifier] = list(self.extension[at + 1 : at + 1 + size])
            at += 1 + size
        return found


def kind_of(octets: bytes, rtcp_port: bool = False) -> str:
    """What a datagram is by RFC 7983 and RFC 5761: `rtp`, `rtcp`, or the label of a `Drop`."""
    if len(octets) < 2:
        return "truncated"
    first = octets[0]
    if first <= 3 or 64 <= first <= 79:
        return "stun"
    if 16 <= first <= 19:
        return "zrtp"
    if 20 <= first <= 63:
        return "dtls"
    if first < 128:
        return "not_media"
    if first >= 192:
        return "bad_version"
    if rtcp_port or 192 <= octets[1] <= 223:
        return "rtcp" if len(octets) >= 8 else "truncated"
    return "rtp" if len(octets) >= 12 else "truncated"


def header_length(octets: bytes) -> int:
    """Octets before the payload; Malformed if there are not so many."""
    length = 12 + 4 * (octets[0] & 15)
    if octets[0] & 0x10:
        if length + 4 > len(octets):
            raise Malformed("bad_extension")
        length += 4 + 4 * int.from_bytes(octets[length + 2 : length + 4])
        if length > len(octets):
            raise Malformed("bad_extension")
    if length > len(octets):
        raise Malformed("truncated")
    return length


def parse_rtp(octets: bytes) -> Rtp:
    """Read a clear packet, or say what is wrong with it."""
    kind = kind_of(octets)
    if kind != "rtp":
        raise Malformed(kind)
    length = header_length(octets)
    count, extended = octets[0] & 15, bool(octets[0] & 0x10)
    end, padding = len(octets), 0
    if octets[0] & 0x20:
        padding = octets[-1]
        end -= padding
        if padding == 0 or end < length:
            raise Malformed("bad_padding")
    after = 12 + 4 * count
    return Rtp(
        payload_type=octets[1] & 0x7F,
        seq=int.from_bytes(octets[2:4]),
        timestamp=int.from_bytes(octets[4:8]),
        ssrc=int.from_bytes(octets[8:12]),
        payload=octets[length:end],
        marker=bool(octets[1] & 0x80),
        csrcs=tuple(int.from_bytes(octets[12 + 4 * n : 16 + 4 * n]) for n in range(count)),
        profile=int.from_bytes(octets[after : after + 2]) if extended else 0,
        extension=octets[after + 4 : length] if extended else b"",
        padding=padding,
    )


# -- RTCP -------------------------------------------------------------------------------------

SENDER_REPORT, RECEIVER_REPORT, SDES, BYE = 200, 201, 202, 203


@dataclass(frozen=True)
class Block:
    """A report block (RFC 3550 section 6.4.1)."""

    ssrc: int
    fraction: int = 0
    lost: int = 0
    highest: int = 0
    jitter: int = 0
    lsr: int = 0
    dlsr: int = 0

    def pack(self) -> bytes:
        """24 octets."""
        words = (self.highest, self.jitter, self.lsr, self.dlsr)
        lost = (self.lost & 0xFF_FFFF).to_bytes(3)
        return self.ssrc.to_bytes(4) + bytes([self.fraction]) + lost + b"".join(word.to_bytes(4) for word in words)


@dataclass
class Rtcp:
    """What a compound says."""

    kinds: list[int] = field(default_factory=list)
    ssrc: int = 0
    """Of the first packet."""
    sender: tuple[int, int, int, int] | None = None
    """NTP time, RTP timestamp, packets, octets."""
    blocks: list[Block] = field(default_factory=list)
    cnames: dict[int, str] = field(default_factory=dict)
    byes: list[int] = field(default_factory=list)


def parse_rtcp(octets: bytes) -> Rtcp:
    """Read a compound of SR, RR, SDES and BYE that is well-formed."""
    found = Rtcp(ssrc=int.from_bytes(octets[4:8]))
    while octets:
        count, kind = octets[0] & 31, octets[1]
        length = 4 + 4 * int.from_bytes(octets[2:4])
        assert octets[0] >> 6 == 2, "a compound is of version 2 throughout"
        assert length <= len(octets), "a packet ends with its compound"
        body, octets = octets[4:length], octets[length:]
        found.kinds.append(kind)
        if kind == SENDER_REPORT:
            words = [int.from_bytes(body[at : at + 4]) for at in range(4, 24, 4)]
            found.sender = (words[0] << 32 | words[1], *words[2:])  # type: ignore[assignment]
        if kind in (SENDER_REPORT, RECEIVER_REPORT):
            start = 24 if kind == SENDER_REPORT else 4
            found.blocks += [_block(body[start + 24 * n :][:24]) for n in range(count)]
        if kind == SDES and body[4] == 1:
            found.cnames[int.from_bytes(body[:4])] = body[6 : 6 + body[5]].decode()
        if kind == BYE:
            found.byes += [int.from_bytes(body[4 * n : 4 * n + 4]) for n in range(count)]
    return found


def _block(octets: bytes) -> Block:
    lost = int.from_bytes(octets[5:8])
    words = [int.from_bytes(octets[at : at + 4]) for at in range(8, 24, 4)]
    return Block(int.from_bytes(octets[:4]), octets[4], lost - (1 << 24 if lost >> 23 else 0), *words)


def pack_report(ssrc: int, blocks: Sequence[Block] = (), sender: tuple[int, int, int, int] | None = None) -> bytes:
    """An SR, if there is a sender part, or an RR."""
    body = ssrc.to_bytes(4)
    if sender:
        body += sender[0].to_bytes(8) + b"".join(word.to_bytes(4) for word in sender[1:])
    body += b"".join(block.pack() for block in blocks)
    kind = SENDER_REPORT if sender else RECEIVER_REPORT
    return bytes([0x80 | len(blocks), kind]) + (len(body) // 4).to_bytes(2) + body


def pack_bye(*ssrcs: int) -> bytes:
    """A BYE."""
    return bytes([0x80 | len(ssrcs), BYE]) + len(ssrcs).to_bytes(2) + b"".join(ssrc.to_bytes(4) for ssrc in ssrcs)


# -- reception (RFC 3550 appendix A) ----------------------------------------------------------


@dataclass
class Source:
    """`struct source` of appendix A.1, of a source that is valid from its first packet."""

    rate: int
    base: int = -1
    max_seq: int = 0
    cycles: int = 0
    bad_seq: int = -1
    received: int = 0
    expected_prior: int = 0
    received_prior: int = 0
    transit: float | None = None
    jitter: float = 0.0

    def update(self, seq: int, timestamp: int, arrival_ns: int) -> None:
        """A packet has come (A.1 `update_seq`, A.8)."""
        if self.base < 0:
            self._init(seq)
        else:
            delta = (seq - self.max_seq) % 65536
            if delta < 3000:
                self.cycles += 65536 if seq < self.max_seq else 0
                self.max_seq = seq
            elif delta <= 65536 - 100:
                if seq != self.bad_seq:
                    self.bad_seq = (seq + 1) % 65536
                    return
                self._init(seq)
        self.received += 1
        transit = arrival_ns * self.rate / 1e9 - timestamp
        if self.transit is not None:
            self.jitter += (abs(transit - self.transit) - self.jitter) / 16
        self.transit = transit

    def _init(self, seq: int) -> None:
        self.base = self.max_seq = seq
        self.bad_seq = -1
        self.cycles = self.received = self.expected_prior = self.received_prior = 0

    @property
    def expected(self) -> int:
        return self.cycles + self.max_seq - self.base + 1

    def report(self) -> tuple[int, int]:
        """Fraction lost and cumulative lost (A.3)."""
        interval = self.expected - self.expected_prior
        lost = interval - (self.received - self.received_prior)
        self.expected_prior, self.received_prior = self.expected, self.received
        fraction = 0 if interval == 0 or lost <= 0 else (lost << 8) // interval
        return fraction, self.expected - self.received


# -- playout ----------------------------------------------------------------------------------


@dataclass
class Tape:
    """Samples by extended timestamp: what a perfect receiver would have to play."""

    samples: dict[int, int] = field(default_factory=dict)

    def write(self, timestamp: int, pcm: Sequence[int]) -> None:
        """A packet came; the later of two that overlap is heard."""
        for offset, sample in enumerate(pcm):
            self.samples[timestamp + offset] = sample

    def read(self, timestamp: int, count: int) -> list[int | None]:
        """A tick's samples, None where nothing came."""
        return [self.samples.get(timestamp + offset) for offset in range(count)]


# -- mixing -----------------------------------------------------------------------------------


def rms(voice: Sequence[float]) -> float:
    """Root mean square."""
    return math.sqrt(sum(sample * sample for sample in voice) / len(voice))


def mix(voices: Mapping[str, Sequence[float]], width: int) -> dict[str, list[float]]:
    """What each talker is to hear (all others), and under the empty name what everybody else is (all)."""
    heard = {"": total(list(voices.values()), width)}
    for me in voices:
        heard[me] = total([voice for name, voice in voices.items() if name != me], width)
    return heard


def total(voices: Sequence[Sequence[float]], width: int) -> list[float]:
    """The sum of voices, exact, before any limit."""
    return [float(sum(voice[n] for voice in voices)) for n in range(width)]


@dataclass
class Limiter:
    """One gain for all that is heard in a conference."""

    tick_ms: int = 20
    gain: float = 1.0

    def limit(self, sums: Mapping[str, Sequence[float]]) -> dict[str, list[int]]:
        """One tick: so quiet that nothing in it is beyond 32000, the first 2 ms excepted, which are cut."""
        peak = max((abs(sample) for each in sums.values() for sample in each), default=0.0)
        before = self.gain
        self.gain += (1.0 - math.exp(-self.tick_ms / 100.0)) * (1.0 - self.gain)
        self.gain = 1.0 if self.gain > 0.999 else self.gain
        self.gain = min(self.gain, 32000.0 / max(peak, 32000.0))
        return {
            name: [self._cut(each[n], before, n, len(each)) for n in range(len(each))] for name, each in sums.items()
        }

    def _cut(self, sample: float, before: float, n: int, width: int) -> int:
        done = (n + 1) / width
        if self.gain < before:
            done = min(1.0, done * self.tick_ms / 2.0)
        return int(max(-32000.0, min(32000.0, sample * (before + (self.gain - before) * done))))
