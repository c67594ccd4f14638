"""Telephone events: the keys of a GStreamer telephone as we read them, and ours as Wireshark's dissector does."""

from __future__ import annotations

import random
import struct
import subprocess
from pathlib import Path

import numpy as np
import pytest

from mixer.codecs import HEAD, events
from mixer.codecs.dialling import Dialling
from mixer.codecs.keypad import KeyPad, Stroke
from tests.conftest import SYSTEM_PYTHON
from tests.interop.wire import Datagram, write_pcap

PORT = 40300
HEADER = 12


def strokes(packets: list[bytes]) -> list[Stroke]:
    """Read RTP packets as the mixer would, one a tick of 40 ms, which is GStreamer's ptime."""
    pad, said = KeyPad(40), list[Stroke]()
    for frame, packet in enumerate(packets):
        timestamp = struct.unpack_from("!I", packet, 4)[0]
        head = np.zeros((1, HEAD), np.uint8)
        head[0, : len(packet) - HEADER] = np.frombuffer(packet[HEADER:], np.uint8)
        found = events.parse(head, np.array([len(packet) - HEADER]))
        assert len(found.event) == 1
        event, duration, end = int(found.event[0]), int(found.duration[0]), bool(found.end[0])
        said += pad.hear(0, timestamp, event, duration, frame, end=end, clock=8000)
    return said


@pytest.mark.needs("gstreamer")
def test_the_keys_of_a_gstreamer_telephone_are_read_each_once() -> None:
    keys = "115#A"
    codes = [str(events.KEYS.index(key)) for key in keys]
    script = Path(__file__).with_name("gst_keys.py")
    printed = subprocess.run([SYSTEM_PYTHON, str(script), *codes], check=True, capture_output=True, text=True)
    packets = [bytes.fromhex(line) for line in printed.stdout.split()]
    said = strokes(packets)
    assert "".join(stroke.key for stroke in said if stroke.duration_ms is None) == keys
    assert all(stroke.duration_ms >= 150 for stroke in said if stroke.duration_ms is not None)
    assert len(said) == 2 * len(keys)
    for seed in range(20):  # losses that leave something of every key
        some = random.Random(seed).sample(range(len(packets)), len(packets) * 2 // 3)
        again = strokes([packets[number] for number in sorted(some)])
        assert "".join(stroke.key for stroke in again if stroke.duration_ms is None) == keys, seed


@pytest.mark.needs("tshark")
def test_what_is_dialled_dissects(tmp_path: Path) -> None:
    dialling = Dialling(8000, 20)
    dialling.dial("9*1")
    sent: list[Datagram] = []
    for number in range(30):
        step = dialling.step()
        if step:
            marker = 0x80 if step.first else 0
            timestamp = (number - step.began) * 160
            header = struct.pack("!BBHII", 0x80, 101 | marker, number, timestamp, 1)
            sent.append(Datagram(0.02 * number, header + step.payload))
    capture = tmp_path / "keys.pcap"
    write_pcap(capture, sent, PORT, PORT)
    names = ["rtp.marker", "rtp.timestamp", "rtpevent.event_id", "rtpevent.end_of_event"]
    names += ["rtpevent.volume", "rtpevent.duration"]
    wanted = [word for name in names for word in ("-e", name)]
    command = ["tshark", "-r", str(capture), "-d", f"udp.port=={PORT},rtp", "-T", "fields", *wanted]
    table = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    durations = [160, 320, 480, 640, 800, 800, 800]
    assert [line.split("\t") for line in table.splitlines()] == [
        [str(int(n == 0)), str(began), str(event), str(int(n >= 4)), "10", str(duration)]
        for began, event in ((0, 9), (8 * 160, 10), (16 * 160, 1))
        for n, duration in enumerate(durations)
    ]
