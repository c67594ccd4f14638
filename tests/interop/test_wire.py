"""What the mixer sends, as Wireshark's dissectors read it.

The packets are those that arrived at our own socket, so capturing them takes no privilege; tshark reads
them from a file. Legs in clear, for tshark cannot decrypt SRTP; the bytes of SRTP have other judges.
"""

from __future__ import annotations

import asyncio
import itertools
import subprocess
from pathlib import Path

import pytest

from control.client import MixerClient
from mixer import port
from tests.interop.phone import Phone
from tests.interop.wire import Address, Datagram, Wire, open_wire, write_pcap
from tests.tones import assert_hears

pytestmark = pytest.mark.needs("tshark")

TALK_S = 7.0
"""Long enough for an RTCP report, whose interval is 5 s, give or take a half (RFC 3550 section 6.2)."""


def tshark(capture: Path, mixer_port: int, *arguments: str) -> str:
    """tshark's words on a capture of RTP from and to the mixer."""
    command = ["tshark", "-r", str(capture), "-d", f"udp.port=={mixer_port},rtp", *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def fields(capture: Path, mixer_port: int, which: str, *names: str) -> list[list[str]]:
    """Columns of the packets that a display filter keeps."""
    wanted = [word for name in names for word in ("-e", name)]
    table = tshark(capture, mixer_port, "-Y", which, "-T", "fields", *wanted)
    return [line.split("\t") for line in table.splitlines()]


async def converse(mixer: MixerClient, media: Address, wires: tuple[Wire, Wire]) -> tuple[Phone, Phone]:
    """Two clear legs talk, then the first is removed."""
    await mixer.call(port.ConferenceCreate(conference="clear"))
    for leg, wire in zip(("a", "b"), wires, strict=True):
        await mixer.call(port.LegAdd(conference="clear", leg=leg, clear=True, remote=wire.remote))
    phones = Phone(wires[0], 0x440), Phone(wires[1], 0x1000)
    await asyncio.gather(phones[0].say(440, TALK_S), phones[1].say(1000, TALK_S))
    final = await mixer.call(port.LegRemove(leg="a"))
    assert final.lost == 0
    assert final.received >= 340
    await asyncio.sleep(0.1)
    return phones


async def test_rtp_and_rtcp_dissect(tmp_path: Path, mixer: MixerClient, media: Address) -> None:
    capture = tmp_path / "clear.pcap"
    async with open_wire(media) as a, open_wire(media) as b:
        phones = await converse(mixer, media, (a, b))
        write_pcap(capture, a.from_mixer, media[1], a.outer[1])
    assert_hears(phones[0].heard(), present={1000}, absent={440})

    rtp = fields(capture, media[1], "rtp && !rtcp", "rtp.version", "rtp.p_type", "rtp.ssrc", "rtp.seq", "rtp.timestamp")
    assert len(rtp) >= 340
    assert {(version, kind) for version, kind, *_ in rtp} == {("2", "0")}
    assert len({ssrc for _, _, ssrc, *_ in rtp}) == 1
    numbers = [(int(seq), int(stamp)) for *_, seq, stamp in rtp]
    assert numbers[0][0] < 1 << 15, "a first sequence number above 2^15 invites a wrong rollover count"
    for (seq, stamp), (next_seq, next_stamp) in itertools.pairwise(numbers):
        assert (next_seq - seq & 0xFFFF, next_stamp - stamp & 0xFFFFFFFF) == (1, 160)

    streams = tshark(capture, media[1], "-q", "-z", "rtp,streams")
    assert " 0 (0.0%)" in streams, streams

    assert not fields(capture, media[1], "_ws.malformed || _ws.expert.severity == error", "frame.number")
    own_ssrc = rtp[0][2]
    reports = fields(capture, media[1], "rtcp.pt == 200", "rtcp.senderssrc", "rtcp.ssrc.identifier", "rtcp.sdes.text")
    assert reports, "no sender report in seven seconds"
    assert {ssrc for ssrc, *_ in reports} == {own_ssrc}
    assert all(about.startswith("0x00000440") for _, about, _ in reports), reports
    assert all(cname for *_, cname in reports)
    goodbyes = fields(capture, media[1], "rtcp.pt == 203", "frame.number")
    assert len(goodbyes) == 1, "a removed leg is told BYE once"
    assert a.from_mixer[-1].is_rtcp


def test_the_capture_file_is_one(tmp_path: Path) -> None:
    """Wireshark reads back what `write_pcap` wrote."""
    capture = tmp_path / "one.pcap"
    packet = bytes.fromhex("8000000a00000a0012345678") + bytes(160)
    write_pcap(capture, [Datagram(1.5, packet)], 40000, 5004)
    assert fields(capture, 40000, "rtp", "rtp.seq", "rtp.ssrc", "udp.dstport") == [["10", "0x12345678", "5004"]]
