"""The whole line by ear: every phone hears all others as loud as they spoke, and never itself.

Each talker has a frequency of its own; a spectrum of what a phone heard tells who was in it.
"""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

from mixer.port import ConferenceDestroy, LegModify
from mixer.suites import SUITES, SuiteName
from tests.mixer.phone import Phone, tone
from tests.mixer.room import MODES, Room
from tests.tones import level_db

TONES = {"ann": 437.0, "bob": 1013.0, "cid": 1709.0}
SPOKEN_DB = 20 * float(np.log10(3000 / 32768))

modes = pytest.mark.parametrize("mode", MODES)


def hear(phone: Phone, hertz: float, last_ms: int = 400) -> float:
    """Level of a tone in what a phone heard, dB under what was spoken."""
    return level_db(phone.sound(last_ms), hertz, rate=phone.rate) - SPOKEN_DB


def check_matrix(room: Room, talkers: dict[str, float], last_ms: int = 400) -> None:
    """Every listener hears each other talker within 1 dB and itself at least 40 dB down; all could be read."""
    for phone in room.phones.values():
        for name, hertz in talkers.items():
            level = hear(phone, hertz, last_ms)
            if name == phone.name:
                assert level < -40, f"{name} hears itself: {level:.1f} dB"
            else:
                assert abs(level) < 1, f"{phone.name} hears {name} at {level:.1f} dB"
        assert not phone.refused, f"{phone.name} could not read {len(phone.refused)} packets"


def conference(mode: str, room: Room, joins: dict[str, dict[str, Any]] | None = None, **fields: Any) -> Room:
    """Three talkers and a listener, or others, in a new conference."""
    room.create(mode, **fields)
    for name, join in (joins or {}).items():
        room.join(name, **join)
    if not joins:
        for name, hertz in TONES.items():
            room.join(name, tone(hertz))
        room.join("ear", direction="recvonly")
    return room


@modes
@pytest.mark.parametrize("suite", SUITES)
def test_suites(mode: str, suite: SuiteName) -> None:
    room = conference(mode, Room(), suite=suite)
    room.run(700)
    check_matrix(room, TONES)
    room.check_tally()
    assert room.engine.tally.drops() == {}


@modes
@pytest.mark.parametrize("width", [1, 3, 4])
@pytest.mark.parametrize("suite", ["AES_CM_128_HMAC_SHA1_80", "AEAD_AES_256_GCM"])
def test_mki_widths(mode: str, width: int, suite: SuiteName) -> None:
    room = conference(mode, Room(), suite=suite, mki_width=width)
    room.run(600)
    check_matrix(room, TONES, 300)


@modes
@pytest.mark.parametrize("tick_ms", [10, 20])
@pytest.mark.parametrize("ptime", [10, 20, 30, 40, 60])
def test_ptimes(mode: str, tick_ms: int, ptime: int) -> None:
    joins: dict[str, dict[str, Any]] = {n: {"voice": tone(hz), "ptime": ptime} for n, hz in TONES.items()}
    room = conference(mode, Room(tick_ms=tick_ms), joins | {"ear": {"ptime": ptime}})
    room.run(900)
    check_matrix(room, TONES)
    for phone in room.phones.values():
        stamps = [heard.packet.timestamp for heard in phone.heard]
        assert {b - a & 0xFFFF_FFFF for a, b in itertools.pairwise(stamps)} == {8 * ptime}
        assert {len(heard.samples) for heard in phone.heard} == {8 * ptime}


@modes
def test_ptimes_may_differ(mode: str) -> None:
    joins: dict[str, dict[str, Any]] = {
        name: {"voice": tone(hz), "ptime": ptime, "phone": {"ptime": 70 - ptime}}
        for (name, hz), ptime in zip(TONES.items(), (10, 30, 60), strict=True)
    }
    room = conference(mode, Room(), joins)
    room.run(900)
    check_matrix(room, TONES)


@modes
@pytest.mark.parametrize("rate", [8000, 16000, 48000])
def test_codecs_and_rates_mixed(mode: str, rate: int) -> None:
    kinds = [("PCMU", 8000), ("PCMA", 8000), ("L16", 8000), ("L16", 16000), ("L16", 48000)]
    talkers = dict(zip("abcde", (437.0, 719.0, 1013.0, 1409.0, 1709.0), strict=True))
    room = Room()
    room.create(mode, rate=rate)
    for (name, hertz), (codec, clock) in zip(talkers.items(), kinds, strict=True):
        room.join(name, tone(hertz, clock), codec=codec, clock=clock)
    room.run(800)
    check_matrix(room, talkers)


@modes
def test_wideband_stays_wide(mode: str) -> None:
    """6 kHz passes between two phones at 48 kHz, and does not fold into what a phone at 8 kHz hears."""
    room = Room()
    room.create(mode, rate=48000)
    room.join("high", tone(6100.0, 48000), codec="L16")
    wide = room.join("wide", codec="L16")
    narrow = room.join("narrow", codec="PCMU")
    room.run(700)
    assert abs(hear(wide, 6100.0)) < 1
    assert hear(narrow, 1900.0) < -40


def test_conferences_do_not_leak() -> None:
    room = Room(max_legs=64)
    halls = {}
    for number in range(12):
        mode = MODES[number % 3]
        name = f"hall{number}"
        room.create(mode, name, rate=(8000, 16000)[number % 2])
        hertz = 300.0 + 150 * number
        halls[name] = hertz
        room.join(f"{name}/talker", tone(hertz), hall=name, ptime=(20, 40, 10)[number % 3])
        room.join(f"{name}/ear", hall=name)
    room.run(700)
    for name, mine in halls.items():
        ear = room.phones[f"{name}/ear"]
        assert abs(hear(ear, mine)) < 1
        for hertz in halls.values():
            assert hertz == mine or hear(ear, hertz) < -40
        assert np.abs(room.phones[f"{name}/talker"].audio(400)).max() <= 8, "alone, one hears silence"


@modes
@pytest.mark.parametrize("ptime", [20, 40, 60])
def test_a_new_conference_hears_nothing_of_the_last(mode: str, ptime: int) -> None:
    """Rows are used again; what was mixed for their last owners is not."""
    for ms in (480, 500, 520):
        room = conference(mode, Room(), {n: {"voice": tone(hz), "ptime": ptime} for n, hz in TONES.items()})
        room.run(ms)
        room.apply(ConferenceDestroy(conference="c"))
        room.phones.clear()
        room.create(mode, "next")
        for number in range(5):
            room.join(f"n{number}", hall="next", ptime=ptime)
        room.run(200)
        for phone in room.phones.values():
            assert np.abs(phone.audio()).max() <= 8
            assert not phone.refused
            assert all(heard.packet.csrcs == () for heard in phone.heard)


@modes
@pytest.mark.parametrize("ptime", [20, 40, 60])
def test_a_leg_on_a_used_row_is_not_taken_for_the_last(mode: str, ptime: int) -> None:
    room = conference(mode, Room(), {n: {"voice": tone(hz), "ptime": ptime} for n, hz in TONES.items()})
    room.run(520)
    room.leave("bob")
    room.create(mode, "next")
    late = room.join("late", hall="next", ptime=ptime)
    room.run(200)
    assert np.abs(late.audio()).max() <= 8
    assert not late.refused


# -- what control may turn --------------------------------------------------------------------


@modes
def test_mute_and_gain(mode: str) -> None:
    room = conference(mode, Room())
    room.apply(LegModify(leg="ann", mute=True))
    room.apply(LegModify(leg="bob", gain_db=-6.0))
    room.apply(LegModify(leg="cid", gain_db=6.0))
    room.run(700)
    ear = room.phones["ear"]
    assert hear(ear, TONES["ann"]) < -40
    assert abs(hear(ear, TONES["bob"]) + 6) < 0.5
    assert abs(hear(ear, TONES["cid"]) - 6) < 0.5
    assert abs(hear(room.phones["ann"], TONES["bob"]) + 6) < 0.5, "the mute hear"
    room.apply(LegModify(leg="ann", mute=False))
    room.apply(LegModify(leg="bob", gain_db=0.0))
    room.apply(LegModify(leg="cid", gain_db=0.0))
    room.run(600)
    check_matrix(room, TONES)


@modes
def test_directions(mode: str) -> None:
    room = Room()
    room.create(mode)
    for (name, hertz), direction in zip(TONES.items(), ("sendonly", "recvonly", "inactive"), strict=True):
        room.join(name, tone(hertz), direction=direction)
    ear = room.join("ear")
    room.run(600)
    assert abs(hear(ear, TONES["ann"])) < 1
    assert hear(ear, TONES["bob"]) < -40
    assert hear(ear, TONES["cid"]) < -40
    assert room.phones["ann"].heard == []
    assert abs(hear(room.phones["bob"], TONES["ann"])) < 1
    assert room.phones["cid"].heard == []
    assert set(room.engine.tally.drops()) == {"not_sending"}
    for name in TONES:
        room.apply(LegModify(leg=name, direction="sendrecv"))
    room.run(700)
    check_matrix(room, TONES)


@modes
@pytest.mark.parametrize("ptime", [20, 60])
def test_who_falls_silent_by_command_never_hears_in_clear(mode: str, ptime: int) -> None:
    """A packet may hold ticks of which the leg was a talker: it must be one that the leg can read."""
    room = Room()
    room.create(mode)
    both = room.join("both", tone(437.0), ptime=ptime)
    room.join("other", tone(1013.0), ptime=ptime)
    for direction in ("sendonly", "recvonly", "sendrecv", "recvonly", "inactive", "sendrecv"):
        room.run(260)
        room.apply(LegModify(leg="both", direction=direction))
    room.run(400)
    assert not both.refused


# -- silence and loudness ---------------------------------------------------------------------


@modes
def test_nobody_talks(mode: str) -> None:
    room = Room()
    room.create(mode)
    for name in "abc":
        room.join(name)
    room.run(300)
    for phone in room.phones.values():
        assert len(phone.heard) == 15, "silence is sent, too: it keeps the stream"
        assert not phone.audio().any()


def test_fifteen_shouting_do_not_wrap() -> None:
    room = Room()
    room.create(max_talkers=15)
    for number in range(15):
        room.join(f"p{number}", tone(437.0, amplitude=32000), phone={"timestamp": 8000})
    ear = room.join("ear", codec="L16")
    room.run(500)
    sound = ear.audio(200).astype(int)
    assert np.abs(sound).max() > 30000
    spectrum = np.fft.rfft(sound)
    assert np.argmax(np.abs(spectrum)) == round(437.0 * len(sound) / 8000)
    crossings = np.count_nonzero(np.diff(np.sign(sound[sound != 0])))
    assert abs(crossings - 2 * 437 * 0.2) <= 2, "a wrap would cross zero where the sound does not"


def test_only_the_loudest_are_mixed() -> None:
    room = Room()
    room.create(max_talkers=3)
    tones = [300.0 + 170 * number for number in range(6)]
    for number, hertz in enumerate(tones):
        room.join(f"p{number}", tone(hertz, amplitude=1000 * (number + 1)))
    ear = room.join("ear")
    room.run(700)
    for number, hertz in enumerate(tones):
        level = level_db(ear.sound(400), hertz) - 20 * np.log10(1000 * (number + 1) / 32768)
        assert abs(level) < 1 if number >= 3 else level < -30, f"{number}: {level}"  # G.711 of the loud has noise
    assert room.show().talkers == ["p5", "p4", "p3"]
    quiet = room.phones["p0"]
    assert level_db(quiet.sound(400), tones[5]) > -20, "who is not mixed hears the common mix"
