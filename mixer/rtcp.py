"""RTCP compounds: built and read with aiortc's packet classes (RFC 3550 section 6).

Knows nothing of legs, keys or clocks: plain values in, octets out, and back.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from typing import Final

from aiortc.rtp import (
    RtcpByePacket,
    RtcpPacket,
    RtcpReceiverInfo,
    RtcpRrPacket,
    RtcpSdesPacket,
    RtcpSenderInfo,
    RtcpSourceInfo,
    RtcpSrPacket,
)

from mixer.drops import Drop

SDES_CNAME: Final = 1
NTP_EPOCH: Final = 2_208_988_800
"""Seconds from 1900 to 1970."""


@dataclass(frozen=True, slots=True)
class Report:
    """A report block: what its sender received of the stream `ssrc`."""

    ssrc: int
    fraction_lost: int
    lost: int
    highest: int
    jitter: int
    lsr: int
    dlsr: int


@dataclass(slots=True)
class Compound:
    """What a received compound says that concerns a mixer."""

    ssrc: int = 0
    """Of the first packet's sender."""
    sender_ntp: int | None = None
    """64-bit NTP timestamp, if a sender report was there."""
    reports: list[Report] = field(default_factory=list)
    goodbye: list[int] = field(default_factory=list)


def ntp(unix_seconds: float) -> int:
    """64-bit NTP timestamp of a Unix time."""
    return int((unix_seconds + NTP_EPOCH) * (1 << 32)) & 0xFFFF_FFFF_FFFF_FFFF


def middle(ntp_time: int) -> int:
    """The middle 32 bits, as in LSR."""
    return ntp_time >> 16 & 0xFFFF_FFFF


def build(
    ssrc: int,
    cname: str,
    report: Report | None,
    *,
    sent: tuple[int, int, int, int] | None = None,
    goodbye: bool = False,
) -> bytes:
    """A compound of SR or RR, SDES and perhaps BYE.

    Args:
        sent: for a sender: NTP time, RTP timestamp, packets, octets.
    """
    blocks = [] if report is None else [_block(report)]
    first: RtcpSrPacket | RtcpRrPacket
    if sent is None:
        first = RtcpRrPacket(ssrc=ssrc, reports=blocks)
    else:
        time, timestamp, packets, octets = sent
        info = RtcpSenderInfo(
            ntp_timestamp=time,
            rtp_timestamp=timestamp & 0xFFFF_FFFF,
            packet_count=packets & 0xFFFF_FFFF,
            octet_count=octets & 0xFFFF_FFFF,
        )
        first = RtcpSrPacket(ssrc=ssrc, sender_info=info, reports=blocks)
    source = RtcpSourceInfo(ssrc=ssrc, items=[(SDES_CNAME, cname.encode())])
    octets_out = bytes(first) + bytes(RtcpSdesPacket(chunks=[source]))
    return octets_out + (bytes(RtcpByePacket(sources=[ssrc])) if goodbye else b"")


def parse(octets: bytes) -> Compound | Drop:
    """Read a decrypted compound; anything malformed is BAD_RTCP."""
    try:
        packets = RtcpPacket.parse(octets)
    except (ValueError, struct.error, IndexError, UnicodeDecodeError):
        return Drop.BAD_RTCP
    if not packets:
        return Drop.BAD_RTCP
    found = Compound(ssrc=int.from_bytes(octets[4:8]))
    for packet in packets:
        if isinstance(packet, RtcpSrPacket):
            found.sender_ntp = packet.sender_info.ntp_timestamp
        if isinstance(packet, RtcpSrPacket | RtcpRrPacket):
            found.reports += [_read(block) for block in packet.reports]
        if isinstance(packet, RtcpByePacket):
            found.goodbye += packet.sources
    return found


def _block(report: Report) -> RtcpReceiverInfo:
    return RtcpReceiverInfo(
        ssrc=report.ssrc,
        fraction_lost=report.fraction_lost,
        packets_lost=report.lost,
        highest_sequence=report.highest,
        jitter=report.jitter,
        lsr=report.lsr,
        dlsr=report.dlsr,
    )


def _read(block: RtcpReceiverInfo) -> Report:
    return Report(
        ssrc=block.ssrc,
        fraction_lost=block.fraction_lost,
        lost=block.packets_lost,
        highest=block.highest_sequence,
        jitter=block.jitter,
        lsr=block.lsr,
        dlsr=block.dlsr,
    )
