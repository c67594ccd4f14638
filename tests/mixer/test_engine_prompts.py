"""Prompts through the whole engine, by ear: who hears them, how loud, and what it costs."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from mixer.port import (
    ConferenceDestroy,
    ConferenceModify,
    LegModify,
    PlayDone,
    PlayStart,
    PlayStop,
    PortError,
    Refusal,
    Tone,
)
from tests.mixer.phone import tone
from tests.mixer.room import MODES, Room
from tests.tones import level_db

PROMPT = 2311.0
PROMPT_DBOV = -23.0
SINE_DB = 3.01
"""A sine at full scale is 3.01 dB below 0 dBov."""
TALK = {"ann": 437.0, "bob": 1013.0}

modes = pytest.mark.parametrize("mode", MODES)


def beep(ms: int = 60_000, **more: Any) -> Tone:
    return Tone(hz=PROMPT, ms=ms, level_dbov=PROMPT_DBOV, **more)


def room_of(mode: str = "unique", *, talk: bool = True, ears: int = 2, **fields: Any) -> Room:
    room = Room()
    room.create(mode, **fields)
    for name, hertz in TALK.items():
        room.join(name, tone(hertz) if talk else None)
    for number in range(ears):
        room.join(f"ear{number}")
    room.run(400)
    return room


def level(room: Room, name: str, hertz: float = PROMPT, last_ms: int = 300) -> float:
    """Of a tone in what a phone heard, dBov."""
    phone = room.phones[name]
    return level_db(phone.sound(last_ms), hertz, rate=phone.rate) - SINE_DB


def play(room: Room, **fields: Any) -> None:
    room.apply(PlayStart(**{"play": "p", "conference": None if "legs" in fields else "c"} | fields))


# -- to all -----------------------------------------------------------------------------------


@modes
@pytest.mark.parametrize("rate", [8000, 16000, 48000])
@pytest.mark.parametrize("talk", [True, False])
def test_all_hear_it_as_loud_as_it_was_asked_for(mode: str, rate: int, talk: bool) -> None:
    room = room_of(mode, rate=rate, talk=talk)
    play(room, tones=(beep(),))
    room.run(600)
    for name, phone in room.phones.items():
        assert abs(level(room, name) - PROMPT_DBOV) < 1, name
        for talker, hertz in TALK.items():
            heard = level(room, name, hertz)
            assert (heard > -30) == (talk and talker != name), f"{name} hears {talker} at {heard}"
        assert not phone.refused


def test_it_plays_once_and_ends() -> None:
    room = room_of()
    play(room, tones=(beep(200),))
    room.run(180)
    assert not room.named(PlayDone)
    room.run(80)
    assert room.named(PlayDone) == [PlayDone(conference="c", play="p", reason="ended")]
    room.run(500)
    assert level(room, "ear0") < -70


def test_tones_follow_each_other_with_pauses_and_again() -> None:
    room = room_of(talk=False)
    ear = room.phones["ear0"]
    ear.forget()
    first, second = Tone(hz=1000.0, ms=200), Tone(hz=2000.0, ms=200)
    play(room, tones=(first, Tone(ms=200), second), times=2)
    room.run(1300)
    sound = ear.sound()
    for half in (0, 4800):
        for step, (low, high) in enumerate([(True, False), (False, False), (False, True)]):
            part = sound[half + 1600 * step + 160 : half + 1600 * (step + 1) - 160]
            assert (level_db(part, 1000.0) > -30) == low
            assert (level_db(part, 2000.0) > -30) == high
    assert not sound[9700:].any()


@modes
def test_one_encode_for_all_who_listen(mode: str) -> None:
    room = room_of(mode, talk=False, ears=5)
    before = room.engine.counters.encodes
    room.run(200)
    quiet = room.engine.counters.encodes - before
    play(room, tones=(beep(),))
    before = room.engine.counters.encodes
    room.run(200)
    assert room.engine.counters.encodes - before == quiet == 10


def test_who_talks_and_who_is_listed_does_not_change() -> None:
    room = room_of("ssrc")
    room.join("levels", level_out=3)
    play(room, tones=(beep(),))
    play(room, play="q", legs=("ear0", "ann"), tones=(beep(),))
    room.run(300)
    spoken = {name: room.phones[name].ssrc for name in TALK}
    for name, phone in room.phones.items():
        others = {ssrc for talker, ssrc in spoken.items() if talker != name}
        assert {frozenset(heard.packet.csrcs) for heard in phone.heard[-5:]} == {frozenset(others)}, name
    assert set(room.show().talkers) == set(TALK)
    assert room.show().plays == ("p", "q")


# -- to some ----------------------------------------------------------------------------------


@modes
@pytest.mark.parametrize("talk", [True, False])
@pytest.mark.parametrize("ptime", [10, 20, 30, 60])
def test_one_leg_alone_hears_it(mode: str, talk: bool, ptime: int) -> None:
    room = Room()
    room.create(mode)
    for name, hertz in TALK.items():
        room.join(name, tone(hertz) if talk else None, ptime=ptime, codec="L16", clock=8000)
    for name in ("ear0", "ear1"):
        room.join(name, ptime=ptime, codec="L16", clock=8000)
    room.run(420)
    play(room, legs=("ear0", "ann"), tones=(beep(),))
    room.run(900)
    for name, phone in room.phones.items():
        heard = level(room, name)
        if name in ("ear0", "ann"):
            assert abs(heard - PROMPT_DBOV) < 1
        else:
            assert heard < PROMPT_DBOV - 60, f"{name}: {heard}"
        assert (level(room, name, TALK["bob"]) > -30) == (talk and name != "bob")
        assert not phone.refused


def test_a_leg_whose_mix_is_resampled_hears_it_too() -> None:
    room = Room()
    room.create(rate=48000)
    room.join("ear", codec="L16", clock=16000)
    room.join("other", codec="L16", clock=48000)
    room.run(200)
    play(room, legs=("ear",), tones=(beep(),))
    room.run(500)
    assert abs(level(room, "ear") - PROMPT_DBOV) < 0.5
    assert level(room, "other") < -90


def test_a_leg_without_a_key_of_its_own_cannot_hear_alone() -> None:
    room = room_of("mki")
    room.join("deaf", direction="recvonly", tx=None)
    with pytest.raises(PortError) as refused:
        play(room, legs=("ear0", "deaf"), tones=(beep(),))
    assert refused.value.refusal is Refusal.KEY_MISSING
    room.run(100)
    assert level(room, "ear0") < -70, "nothing has changed"


# -- instead of, and beside -------------------------------------------------------------------


@pytest.mark.parametrize("who", [{"conference": "c"}, {"legs": ("ear0",)}])
def test_the_conference_is_lowered_meanwhile(who: dict[str, Any]) -> None:
    room = room_of()
    before = level(room, "ear0", TALK["ann"])
    play(room, tones=(beep(600),), duck_db=12.0, **who)
    room.run(500)
    assert abs(level(room, "ear0", TALK["ann"]) - (before - 12)) < 0.7
    other = level(room, "ear1", TALK["ann"]) - before
    assert abs(other + (12 if "conference" in who else 0)) < 0.7
    room.run(700)
    assert abs(level(room, "ear0", TALK["ann"]) - before) < 0.3, "and raised again"


@pytest.mark.parametrize("who", [{"conference": "c"}, {"legs": ("ear0",)}])
def test_the_prompt_instead_of_the_conference(who: dict[str, Any]) -> None:
    room = room_of()
    play(room, tones=(beep(),), exclusive=True, **who)
    room.run(500)
    assert level(room, "ear0", TALK["ann"]) < -60
    assert abs(level(room, "ear0") - PROMPT_DBOV) < 1


def test_lowering_and_raising_does_not_click() -> None:
    room = Room()
    room.create()
    room.join("ann", tone(250.0, amplitude=8000), codec="L16", clock=8000)
    room.join("ear", codec="L16", clock=8000)
    room.run(400)
    ear = room.phones["ear"]
    ear.forget()
    play(room, tones=(Tone(ms=200),), exclusive=True)
    room.run(160)
    room.apply(PlayStop(play="p"))
    room.run(300)
    sound = ear.audio().astype(int)
    steepest = 8000 * 2 * np.pi * 250.0 / 8000
    assert np.abs(np.diff(sound)).max() < 1.2 * steepest
    assert np.abs(sound).min() == 0
    quiet = np.abs(sound.reshape(-1, 160)).max(axis=1) == 0
    assert quiet.any(), "it was silent in between"


def test_stopping_does_not_click() -> None:
    room = Room()
    room.create()
    ear = room.join("ear", codec="L16", clock=8000)
    play(room, tones=(Tone(hz=250.0, ms=5000, level_dbov=-12.0),))
    room.run(215)
    room.apply(PlayStop(play="p"))
    assert room.engine.events() == [PlayDone(conference="c", play="p", reason="stopped")]
    room.run(200)
    sound = ear.audio().astype(int)
    steepest = np.abs(sound).max() * 2 * np.pi * 250.0 / 8000
    assert np.abs(np.diff(sound)).max() < 1.2 * steepest
    assert not sound[-800:].any()


def test_samples_of_a_file_are_played_for_ever_until_stopped() -> None:
    room = room_of(talk=False)
    wave = np.rint(3000 * np.sin(2 * np.pi * PROMPT * np.arange(48000) / 48000)).astype(np.int16)
    wish = PlayStart(play="p", conference="c", file="some.wav", times=0, gain_db=6.0)
    room.engine.play(wish, wave)
    room.run(3000)
    expected = 20 * np.log10(3000 / 32768) + 6
    assert abs(level(room, "ear0", last_ms=1000) + SINE_DB - expected) < 1
    room.apply(PlayStop(play="p"))
    room.run(500)
    assert level(room, "ear0") < -70


def test_a_sound_of_no_length_does_not_hold_up_the_tick() -> None:
    room = room_of(talk=False)
    room.engine.play(PlayStart(play="p", conference="c", file="some.wav", times=0), np.ones(1, np.int16))
    room.run(100)
    assert room.show().plays == ("p",)


def test_many_at_once_do_not_wrap() -> None:
    room = room_of(talk=False)
    for number in range(6):
        play(room, play=f"p{number}", tones=(Tone(hz=250.0, ms=60_000, level_dbov=-4.0),))
    room.run(400)
    sound = room.phones["ear0"].audio(200).astype(int)
    crossings = np.count_nonzero(np.diff(np.sign(sound[sound != 0])))
    assert abs(crossings - 2 * 250 * 0.2) <= 2


# -- who comes and goes -----------------------------------------------------------------------


def test_it_goes_with_those_who_hear_it() -> None:
    room = room_of()
    play(room, legs=("ear0", "ear1"), tones=(beep(),), exclusive=True)
    room.run(100)
    room.leave("ear0")
    room.run(100)
    assert not room.named(PlayDone)
    room.leave("ear1")
    room.run(40)
    assert room.named(PlayDone) == [PlayDone(conference="c", play="p", reason="gone")]
    late = room.join("ear0")
    room.run(400)
    assert level(room, "ear0") < -70
    assert level(room, "ear0", TALK["ann"]) > -30, "a newcomer in that row is not lowered"
    assert not late.refused


def test_it_goes_with_its_conference() -> None:
    room = room_of()
    play(room, tones=(beep(),), exclusive=True)
    room.run(100)
    room.apply(ConferenceDestroy(conference="c"))
    room.create()
    room.phones.clear()
    room.join("ann", tone(TALK["ann"]))
    room.join("ear0")
    room.run(500)
    assert room.named(PlayDone) == [PlayDone(conference="c", play="p", reason="gone")]
    assert level(room, "ear0") < -70
    assert level(room, "ear0", TALK["ann"]) > -30


def test_conferences_do_not_hear_each_other_s_prompts() -> None:
    room = Room()
    for number, rate in enumerate((8000, 8000, 16000)):
        room.create(name=f"c{number}", rate=rate)
        room.join(f"ear{number}", hall=f"c{number}")
        room.join(f"talker{number}", tone(700.0 + 200 * number), hall=f"c{number}")
    for number, hertz in enumerate((2000.0, 2300.0, 2600.0)):
        wish = PlayStart(play=f"p{number}", conference=f"c{number}", tones=(Tone(hz=hertz, ms=60_000),))
        room.apply(wish)
    room.run(700)
    for ear in range(3):
        for number, hertz in enumerate((2000.0, 2300.0, 2600.0)):
            assert (level(room, f"ear{ear}", hertz) > -30) == (ear == number)


# -- join and leave tones ---------------------------------------------------------------------


def chime(room: Room, name: str, hertz: float) -> bool:
    return level(room, name, hertz, 400) > -45


def test_a_join_and_a_leave_are_heard_if_wanted() -> None:
    room = room_of(talk=False, join_tone=True)
    room.run(1000)
    room.join("late")
    room.run(400)
    assert chime(room, "ear0", 440.0)
    assert chime(room, "ear0", 660.0)
    room.run(400)
    room.leave("late")
    room.run(400)
    assert not chime(room, "ear0", 440.0)
    room.apply(ConferenceModify(conference="c", join_tone=False, leave_tone=True))
    room.join("later")
    room.run(400)
    assert not chime(room, "ear0", 440.0)
    room.leave("later")
    room.run(400)
    assert chime(room, "ear0", 660.0)
    assert not room.named(PlayDone), "tones of our own have no name to be told"


def test_a_crowd_that_joins_at_once_is_one_tone() -> None:
    room = room_of(talk=False, ears=1)
    room.apply(ConferenceModify(conference="c", join_tone=True))
    for number in range(8):
        room.join(f"late{number}")
    room.run(400)
    alone = level(room, "ear0", 440.0, 400)
    room.run(400)
    room.join("last")
    room.run(400)
    assert abs(level(room, "ear0", 440.0, 400) - alone) < 1


# -- refusals ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "refusal"),
    [
        ({"conference": "no", "tones": (beep(),)}, Refusal.UNKNOWN_CONFERENCE),
        ({"legs": ("no",), "tones": (beep(),)}, Refusal.UNKNOWN_LEG),
        ({"legs": ("ear0", "no"), "tones": (beep(),)}, Refusal.UNKNOWN_LEG),
        ({"tones": (beep(),), "conference": None}, Refusal.INVALID),
        ({"conference": "c", "legs": ("ear0",), "tones": (beep(),)}, Refusal.INVALID),
        ({}, Refusal.INVALID),
        ({"tones": (beep(),), "file": "a.wav"}, Refusal.INVALID),
        ({"tones": (beep(19),)}, Refusal.INVALID),
        ({"file": "a.wav"}, Refusal.BAD_FILE),
        ({"play": "twice", "tones": (beep(),)}, Refusal.DUPLICATE_PLAY),
    ],
)
def test_refusals_change_nothing(fields: dict[str, Any], refusal: Refusal) -> None:
    room = room_of(talk=False)
    play(room, play="twice", tones=(Tone(ms=60_000),))
    with pytest.raises(PortError) as refused:
        play(room, **fields)
    assert refused.value.refusal is refusal
    assert room.show().plays == ("twice",)
    room.run(100)
    assert level(room, "ear0") < -70


def test_legs_of_several_conferences_are_refused() -> None:
    room = room_of()
    room.create(name="d")
    room.join("away", hall="d")
    with pytest.raises(PortError, match="several conferences"):
        play(room, legs=("ear0", "away"), tones=(beep(),))


def test_what_does_not_play_cannot_be_stopped() -> None:
    room = room_of()
    play(room, tones=(beep(),))
    room.apply(PlayStop(play="p"))
    with pytest.raises(PortError) as refused:
        room.apply(PlayStop(play="p"))
    assert refused.value.refusal is Refusal.UNKNOWN_PLAY
    play(room, tones=(beep(),))  # the name is free at once
    room.run(300)
    assert abs(level(room, "ear0", last_ms=200) - PROMPT_DBOV) < 1


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("codec", ["PCMU", "opus"])
def test_who_is_alone_hears_what_is_played_to_it_and_nothing_else(mode: str, codec: str) -> None:
    """Not a packet of the conference, nor who is in it: before a prompt, from its first sample on, and after it."""
    room = Room()
    rate = {"PCMU": 8000, "opus": 48000}[codec]
    room.create(mode, rate=rate, join_tone=True)
    room.join("ann", tone(437.0, rate), codec=codec)
    bob = room.join("bob", tone(1013.0, rate), codec=codec, alone=True, level_out=5)
    room.run(400)
    room.join("cid", codec=codec)
    room.run(200)
    room.apply(PlayStart(play="p", legs=("bob",), tones=(Tone(hz=PROMPT, ms=1000),)))
    room.run(600)
    assert level_db(bob.sound(400), PROMPT, rate=rate) > -30
    room.run(1000)
    assert len(bob.heard) > 100
    assert not any(heard.packet.csrcs or heard.packet.extension for heard in bob.heard)
    assert level_db(bob.sound(), 437.0, rate=rate) < -75
    assert level_db(room.phones["cid"].sound(400), 1013.0, rate=rate) < -75
    room.apply(LegModify(leg="bob", alone=False))
    room.run(1000)
    assert level_db(bob.sound(400), 437.0, rate=rate) > -30
    assert level_db(room.phones["cid"].sound(400), 1013.0, rate=rate) > -30
    room.apply(LegModify(leg="bob", alone=True))
    room.step()
    bob.forget()
    room.run(1000)
    assert level_db(bob.sound(900), 437.0, rate=rate) < -75
    assert not bob.refused
