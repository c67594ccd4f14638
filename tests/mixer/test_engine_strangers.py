"""Members whose clock or codec is not the agreed one: the conference sounds on, and so do they once they keep to it."""

from __future__ import annotations

import numpy as np
import pytest

from tests import codecs
from tests.mixer.phone import tone
from tests.mixer.room import Room
from tests.mixer.test_engine_sound import hear

PAIRS = [(one, other) for one in ("PCMU", "G722", "opus") for other in ("PCMU", "G722", "opus") if one != other]


def stage(codec: str, **phone: object) -> Room:
    room = Room()
    room.create("unique", rate=16000)
    room.join("ann", tone(437.0, 16000), codec="L16", clock=16000)
    room.join("odd", codec=codec, phone=phone)
    room.join("ear", codec="L16", clock=16000, direction="recvonly", rx=None)
    room.run(400)
    return room


@pytest.mark.parametrize("factor", [6, 1 / 6])
@pytest.mark.parametrize("codec", ["PCMU", "G722", "opus"])
def test_a_clock_that_is_not_the_codec_s_disturbs_nobody(codec: str, factor: float) -> None:
    """Timestamps of 48000 Hz where 8000 were agreed, and the reverse."""
    room = stage(codec, clock=round(codecs.CLOCKS[codec] * factor))
    odd, ear = room.phones["odd"], room.phones["ear"]
    odd.voice = tone(613.0, codecs.RATES[codec])
    room.run(1000)
    before = room.engine.counters.decodes
    ear.forget()
    room.run(1000)
    assert abs(hear(ear, 437.0, 1000)) < 1
    assert room.engine.counters.decodes - before <= 4 * 50, "it costs no more than what could be heard"
    room.check_tally()
    odd.clock = codecs.CLOCKS[codec]
    room.run(1000)
    assert abs(hear(ear, 613.0)) < 1, "and is heard with the right one"


@pytest.mark.parametrize(("codec", "other"), PAIRS)
def test_another_codec_under_the_payload_type_of_the_first_disturbs_nobody(codec: str, other: str) -> None:
    """In the midst of a call, and back."""
    room = stage(codec)
    odd, ear = room.phones["odd"], room.phones["ear"]
    odd.voice = tone(613.0, codecs.RATES[codec])
    room.run(600)
    strange = codecs.mouth(other)
    noise = np.random.default_rng(0)
    odd.voice = None
    for _ in range(50):
        sound = noise.integers(-2000, 2000, codecs.RATES[other] // 50).astype(np.int16)
        room.inject(odd.seal(odd.rtp(strange.encode(sound))), odd.address)
        room.step()
    room.check_tally()
    odd.voice, odd.mouth = tone(613.0, codecs.RATES[codec]), None
    room.run(1000)
    assert abs(hear(ear, 437.0)) < 1
    assert abs(hear(ear, 613.0)) < 1
