"""Rates of mixes that follow who is in, and codecs that follow the mix."""

from __future__ import annotations

import numpy as np

from mixer import port
from mixer.casting import Cast
from mixer.config import MixerConfig
from mixer.state import State
from mixer.tuning import Tuning
from tests.mixer.phone import tone
from tests.mixer.room import Room
from tests.mixer.test_engine_codecs import FINE
from tests.mixer.test_engine_sound import hear


def test_a_rate_follows_its_members_in_a_pause() -> None:
    room = Room()
    room.create("unique", rate="auto")
    ann = room.join("ann", tone(437.0))
    room.run(400)
    assert room.show().rate == 8000
    room.join("bob", codec="opus", direction="recvonly", rx=None)
    room.run(1000)
    assert room.show().rate == 8000, "somebody talks"
    ann.voice = None
    room.run(1000)
    assert room.show().rate == 48000
    ann.voice = tone(437.0)
    room.run(1000)
    assert abs(hear(room.phones["bob"], 437.0)) < 1
    room.leave("bob")
    ann.voice = None
    room.run(1000)
    assert room.show().rate == 8000


def test_a_rate_is_changed_at_last_if_there_is_no_pause() -> None:
    room = Room()
    room.create("unique", rate="auto")
    room.join("ann", tone(437.0))
    room.join("cid", tone(613.0, 16000), codec="G722")
    ear = room.join("ear", direction="recvonly", rx=None)
    room.run(7000)
    assert room.show().rate == 16000
    assert abs(hear(ear, 437.0)) < 1
    assert abs(hear(ear, 613.0)) < 1


def test_an_opus_leg_is_decoded_at_the_rate_of_its_conference() -> None:
    room = Room()
    room.create("unique", rate=16000)
    room.join("ann", tone(437.0, 48000), codec="opus", opus=FINE)
    ear = room.join("ear", codec="opus", opus=FINE, direction="recvonly", rx=None)
    room.run(1000)
    assert abs(hear(ear, 437.0)) < 1


def test_a_shout_of_long_ago_turns_nobody_down() -> None:
    """Meanwhile no conference had that rate."""

    def first(shout: bool) -> float:
        room = Room()
        if shout:
            room.create("unique", "before", rate=16000)
            for number in range(3):
                room.join(f"loud{number}", tone(300.0, 16000, 32000.0), hall="before", codec="L16", clock=16000)
            room.run(400)
            room.apply(port.ConferenceDestroy(conference="before"))
            room.phones.clear()
        room.run(2000)
        room.create("unique", rate=16000)
        room.join("ann", tone(437.0, 16000), codec="L16", clock=16000)
        bob = room.join("bob", codec="L16", clock=16000)
        room.run(200)
        sounds = next(heard.samples for heard in bob.heard if np.abs(heard.samples).max() > 1000)
        return float(np.abs(sounds.astype(np.int64)).sum())

    assert first(shout=True) == first(shout=False)


def test_what_was_heard_at_another_rate_is_not_gone_on_from() -> None:
    state = State(MixerConfig(max_legs=4))
    tuning, leg = Tuning(state), np.array([1])
    state.legs.hopped[leg] = True

    def tuned(level: int, rate: int) -> int:
        some, none, ones = np.zeros(1, np.int64), np.zeros(1, np.int64), np.ones(1, bool)
        audio = np.full((1, rate // 50), level, np.int16)
        cast = Cast(ones, leg, none, audio, None, 0, none, none, none, none, ones, none, ones)
        return int(np.abs(tuning.tune(cast, some, rate, 8000)).max())

    assert tuned(9000, 16000) > 8000
    assert tuned(0, 16000) > 8000, "the end of it"
    assert tuned(9000, 16000) > 8000
    assert tuned(0, 48000) == 0
