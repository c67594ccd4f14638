"""Codecs whose encoders cannot be exchanged amid sound: a leg that heard something of its own waits for a pause."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from mixer.port import LegModify, PlayStart, Tone
from tests.mixer.phone import Phone, tone
from tests.mixer.room import Room
from tests.mixer.test_engine_codecs import residue_db

HERTZ, RATE = 437.0, 16000
YOUNG_MS, OLD_MS = 1000, 25_000
"""An engine counts from 0, and a leg that never spoke did so at 0."""


def meeting(ms: int, *, alone: bool = False) -> tuple[Room, Phone]:
    """Ann says the same for ever; Bob and Eve listen in G.722."""
    room = Room()
    room.create(rate=RATE)
    room.join("ann", tone(HERTZ, RATE, 20000.0), codec="L16", clock=RATE)
    bob = room.join("bob", codec="G722", direction="recvonly", rx=None, alone=alone)
    room.join("eve", codec="G722", direction="recvonly", rx=None)
    room.run(ms)
    return room, bob


def residue(phone: Phone) -> NDArray[np.float64]:
    return residue_db(phone.sound(), HERTZ, RATE)


@pytest.mark.parametrize("ms", [YOUNG_MS, OLD_MS])
def test_nobody_hears_how_it_is_handed_back_after_a_prompt(ms: int) -> None:
    room, bob = meeting(ms)
    bob.forget()
    room.run(500)
    steady = residue(bob).max()
    room.apply(PlayStart(play="p", legs=("bob",), tones=(Tone(hz=900.0, ms=600),)))
    room.run(700)
    bob.forget()
    room.run(600)
    assert residue(bob).max() < steady + 6


@pytest.mark.parametrize("ms", [YOUNG_MS, OLD_MS])
def test_who_is_let_in_amid_speech_hears_no_burst(ms: int) -> None:
    room, bob = meeting(ms, alone=True)
    room.apply(LegModify(leg="bob", alone=False))
    bob.forget()
    room.run(600)
    assert residue(bob)[2:].max() < -40, "the first packets are the beginning itself"


def test_nobody_lingers_for_ever() -> None:
    room, _ = meeting(YOUNG_MS)
    room.apply(PlayStart(play="p", legs=("bob",), tones=(Tone(hz=900.0, ms=200),)))
    room.run(1000)
    before = room.engine.counters.encodes
    room.run(200)
    assert room.engine.counters.encodes - before == 10 * 3, "for Ann, for all who listen, and for Bob"
    room.run(20_000)
    before = room.engine.counters.encodes
    room.run(200)
    assert room.engine.counters.encodes - before == 10 * 2
