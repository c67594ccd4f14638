"""The judges of callers judged: what is heard, what is missing, what is untrue."""

from __future__ import annotations

import struct

import numpy as np
import pytest

from bench.callers.hearing import levels_db, tones_db
from bench.callers.judging import untrue
from bench.callers.mouth import Mouth
from bench.callers.recording import Recording
from bench.callers.report import CallReport
from bench.callers.table import Row, lines
from bench.codec import codec
from bench.coders import coder
from bench.phone import tone

PCMU = codec("PCMU")
VOICE = coder("PCMU")
MS = 1_000_000
PACKET = 20 * MS


def rtp(sequence: int, payload: bytes = b"\xff" * 160, *, ssrc: int = 1, payload_type: int = 0) -> bytes:
    return struct.pack("!BBHII", 0x80, payload_type, sequence & 0xFFFF, sequence * 160, ssrc) + payload


def test_tones_are_found_with_their_levels() -> None:
    mix = tone(433, 1.0, level=0.25) + tone(919, 1.0, level=0.025)
    levels = levels_db(mix, (433, 919, 700))
    assert levels[433] == pytest.approx(-12.0, abs=0.1)
    assert levels[919] == pytest.approx(-32.0, abs=0.1)
    assert levels[700] < -70
    assert list(tones_db(mix)) == [433, 919]
    assert tones_db(np.zeros(8000, np.float32)) == {}
    assert levels_db(np.zeros(0, np.float32), (433,)) == {433: -120.0}


def test_what_is_untrue_is_said() -> None:
    good = {"anna": -50.0, "boris": -0.5, "mallory": -60.0}
    assert untrue("anna", good, ["mallory"]) == []
    assert untrue("anna", good | {"anna": -30.0}, ["mallory"]) == ["anna hears itself, only 30 dB down"]
    assert untrue("anna", good | {"boris": -20.0}, ["mallory"]) == ["anna does not hear boris (-20 dB)"]
    assert untrue("anna", good | {"anna": -30.0}, ["mallory"], limit_db=-25.0) == []
    assert untrue("anna", good | {"anna": -20.0}, ["mallory"], limit_db=-25.0) != []
    assert untrue("anna", good | {"mallory": -1.0}, ["mallory"]) == ["anna hears mallory, whom nobody should"]


def test_a_recording_keeps_audio_in_order_of_arrival() -> None:
    ear = Recording(VOICE)
    said = tone(433, 0.04)
    for n in range(2):
        ear.take(rtp(n, PCMU.encode(said[n * 160 : (n + 1) * 160]).tobytes(), ssrc=n + 1), n * PACKET)
    ear.take(rtp(9, payload_type=96), 2 * PACKET)  # DTMF, say
    assert ear.heard() == pytest.approx(said, abs=0.01)
    assert len(ear.heard(since_ns=PACKET)) == 160
    assert ear.ssrcs == [1, 2]


def test_header_extensions_are_no_audio() -> None:
    ear = Recording(VOICE)
    extended = bytearray(rtp(1))
    extended[0] |= 0x10
    extended[12:12] = b"\xbe\xde\0\x01\x10\x7f\0\0"
    ear.take(bytes(extended), 0)
    assert len(ear.heard()) == 160


def test_what_is_lost_is_counted_but_not_while_on_hold() -> None:
    ear = Recording(VOICE)
    for n in (0, 1, 3, 4):
        ear.take(rtp(n), n * PACKET)
    found = ear.continuity(5 * PACKET)
    assert (found.packets, found.lost, found.largest_gap_ms) == (4, 1, 40.0)
    assert ear.continuity(10 * PACKET).lost == 6, "five more should have come by then"
    ear.end()
    assert ear.continuity(10 * PACKET).lost == 1
    ear.pause()
    ear.take(rtp(5), 6 * PACKET)  # it was on its way
    ear.go_on()
    ear.take(rtp(6), 50 * PACKET)
    found = ear.continuity(51 * PACKET)
    assert (found.packets, found.lost, found.largest_gap_ms) == (5, 1, 40.0)
    assert len(ear.heard()) == 6 * 160, "it is heard all the same"


def test_a_mouth_numbers_what_it_says() -> None:
    mouth = Mouth(VOICE, tone(433, 0.04), 7)
    first, second = mouth.packet(0), mouth.packet(1)
    mouth.pause()
    third = mouth.packet(5)
    fields = [struct.unpack("!BBHII", packet[:12]) for packet in (first, second, third)]
    assert [one[1] for one in fields] == [0x80, 0, 0x80], "marked where a talkspurt begins"
    assert [one[2] - fields[0][2] for one in fields] == [0, 1, 2], "no number is left out"
    assert [one[3] - fields[0][3] & 0xFFFFFFFF for one in fields] == [0, 160, 800], "time goes on"
    assert third[12:] == second[12:], "and over again"


def test_a_mouth_may_say_it_once_and_then_silence() -> None:
    mouth = Mouth(VOICE, tone(433, 0.03), 7, over_and_over=False)
    packets = [mouth.packet(n)[12:] for n in range(3)]
    assert not PCMU.decode(np.frombuffer(packets[1][80:], np.uint8)).any(), "the last packet is filled up"
    assert len(packets[2]) == 160
    assert not PCMU.decode(np.frombuffer(packets[2], np.uint8)).any()
    assert mouth.spoken == 3


def test_a_line_of_the_table_tells_who_is_heard() -> None:
    report = CallReport(
        name="anna",
        set_up_ms=12.0,
        first_audio_ms=30.0,
        ended="",
        keys_taken=2,
        packets=400,
        refused=1,
        early=0,
        lost=3,
        longest_gap_ms=41.0,
        streams=1,
    )
    row = Row(report, {"anna": -55.0, "boris": 0.1, "clara": -90.0})
    assert " ".join(lines([row])[1].split()) == "anna 12 ms 30 ms 2 400 1 3 41 ms 1 of 2 -55 in call"
    assert row.as_json()["self_db"] == -55.0
    assert Row(report, {}).cells()[-3:] == ("-", "-", "in call")
