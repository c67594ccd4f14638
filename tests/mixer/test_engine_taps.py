"""What an engine hands out to be recorded: all of a conference, or one leg, tick by tick without a gap."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from mixer.port import (
    ConferenceDestroy,
    ConferenceLevels,
    LegModify,
    Levels,
    PlayStart,
    PortError,
    RecordStart,
    RecordStop,
    Refusal,
    Tone,
)
from mixer.taps import Tap
from tests.mixer.phone import tone
from tests.mixer.room import Room
from tests.tones import level_db

TALK = {"ann": 437.0, "bob": 1013.0}
SPOKEN_DB = 20 * float(np.log10(3000 / 32768))
PROMPT = 2311.0


def record(room: Room, name: str, **fields: Any) -> None:
    room.apply(RecordStart(record=name, file="x", **fields))


def run(room: Room, ms: int) -> dict[str, list[Tap]]:
    taken: defaultdict[str, list[Tap]] = defaultdict(list)
    for _ in range(ms // 20):
        room.step()
        for tap in room.engine.taps():
            taken[tap.record].append(tap)
    return dict(taken)


def sound(taps: list[Tap]) -> NDArray[np.float64]:
    return np.concatenate([tap.samples for tap in taps if tap.samples is not None]) / 32768


def room_of(rate: int = 8000) -> Room:
    room = Room()
    room.create(rate=rate)
    for name, hertz in TALK.items():
        room.join(name, tone(hertz))
    room.join("ear")
    room.run(400)
    return room


@pytest.mark.parametrize("rate", [8000, 16000, 48000])
def test_a_conference_and_a_leg_apart(rate: int) -> None:
    room = room_of(rate)
    room.apply(PlayStart(play="p", conference="c", tones=(Tone(hz=PROMPT, ms=60_000, level_dbov=-23.0),)))
    record(room, "all", conference="c")
    record(room, "ann", leg="ann")
    record(room, "ear", leg="ear")
    taken = run(room, 600)
    assert {name: len(taps) for name, taps in taken.items()} == {"all": 30, "ann": 30, "ear": 30}
    assert {(tap.rate, len(tap.samples)) for taps in taken.values() for tap in taps if tap.samples is not None} == {
        (rate, rate // 50)
    }
    everything, ann = sound(taken["all"][5:]), sound(taken["ann"][5:])
    for name, hertz in TALK.items():
        assert abs(level_db(everything, hertz, rate=rate) - SPOKEN_DB) < 1
        assert (level_db(ann, hertz, rate=rate) > SPOKEN_DB - 40) == (name == "ann")
    assert level_db(everything, PROMPT, rate=rate) > -30, "who listens to it hears the prompt"
    assert level_db(ann, PROMPT, rate=rate) < -60
    assert not sound(taken["ear"]).any()
    assert room.show().records == ("all", "ann", "ear")


def test_a_private_prompt_is_not_in_the_recording() -> None:
    room = room_of()
    room.apply(PlayStart(play="p", legs=("ear",), tones=(Tone(hz=PROMPT, ms=60_000),), exclusive=True))
    record(room, "all", conference="c")
    everything = sound(run(room, 600)["all"])
    assert level_db(everything, PROMPT) < -60
    assert level_db(everything, TALK["ann"]) > -30


def test_gain_and_mute_are_heard_in_what_a_leg_says() -> None:
    room = room_of()
    room.apply(LegModify(leg="ann", gain_db=6.0))
    record(room, "ann", leg="ann")
    louder = sound(run(room, 400)["ann"][5:])
    assert abs(level_db(louder, TALK["ann"]) - SPOKEN_DB - 6) < 0.5
    room.apply(LegModify(leg="ann", mute=True))
    muted = run(room, 400)["ann"]
    assert len(muted) == 20
    assert not sound(muted[1:]).any(), "after a short fade"


def test_an_empty_conference_is_recorded_as_silence() -> None:
    room = Room()
    room.create(rate=16000)
    record(room, "all", conference="c")
    taken = run(room, 100)["all"]
    assert len(sound(taken)) == 1600
    assert not sound(taken).any()


@pytest.mark.parametrize("what", ["leg", "conference"])
def test_what_goes_takes_its_recording_along(what: str) -> None:
    room = room_of()
    record(room, "ann", leg="ann")
    record(room, "all", conference="c")
    run(room, 40)
    if what == "leg":
        room.leave("ann")
        room.join("ann", tone(1800.0))
    else:
        room.apply(ConferenceDestroy(conference="c"))
        room.create()
    taken = run(room, 200)
    assert [tap.samples for tap in taken["ann"]] == [None]
    assert len(taken["all"]) == (10 if what == "leg" else 1)
    assert room.engine.records_count == (1 if what == "leg" else 0)
    record(room, "ann", conference="c")  # the name is free


@pytest.mark.parametrize(
    ("fields", "refusal"),
    [
        ({"record": "r", "conference": "no"}, Refusal.UNKNOWN_CONFERENCE),
        ({"record": "r", "leg": "no"}, Refusal.UNKNOWN_LEG),
        ({"record": "r"}, Refusal.INVALID),
        ({"record": "r", "conference": "c", "leg": "ann"}, Refusal.INVALID),
        ({"record": "twice", "conference": "c"}, Refusal.DUPLICATE_RECORD),
    ],
)
def test_refusals_change_nothing(fields: dict[str, Any], refusal: Refusal) -> None:
    room = room_of()
    record(room, "twice", conference="c")
    wish = RecordStart(file="x", **fields)
    for refuse in (room.apply, room.engine.recordable):
        with pytest.raises(PortError) as refused:
            refuse(wish)
        assert refused.value.refusal is refusal
    assert room.show().records == ("twice",)


def test_what_is_not_recorded_cannot_be_stopped() -> None:
    room = room_of()
    record(room, "all", conference="c")
    room.apply(RecordStop(record="all"))
    assert not run(room, 40)
    with pytest.raises(PortError) as refused:
        room.apply(RecordStop(record="all"))
    assert refused.value.refusal is Refusal.UNKNOWN_RECORD


def test_levels_of_all_legs() -> None:
    room = room_of()
    room.create(name="d")
    room.join("away", tone(700.0), hall="d")
    room.run(100)
    shown = room.apply(ConferenceLevels(conference="c"))
    expected = round(SPOKEN_DB - 3.01)
    assert shown == Levels(levels={"ann": expected, "bob": expected, "ear": -127})
    with pytest.raises(PortError) as refused:
        room.apply(ConferenceLevels(conference="no"))
    assert refused.value.refusal is Refusal.UNKNOWN_CONFERENCE
