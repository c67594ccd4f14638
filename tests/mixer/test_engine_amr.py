"""AMR and AMR-WB in conferences: who hears whom, modes that are asked for, and pauses.

A codec of speech carries one steady tone, but no sum of them: so one talks at a time. FFmpeg's decoder takes up to 9 dB
from a tone that never ends, which is no matter of the mixer: where levels count, OpenCORE's decoder hears.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from bench.amr import NARROW, WIDE, Form
from mixer.codecs import Coder, find
from mixer.port import Amr, LegModify
from tests import codecs
from tests.mixer.phone import Phone, tone
from tests.mixer.room import MODES, Room
from tests.mixer.test_engine_sound import hear

pytestmark = pytest.mark.needs("libopencore-amrnb", "libopencore-amrwb", "libvo-amrwbenc")

modes = pytest.mark.parametrize("mode", MODES)
each = pytest.mark.parametrize("codec", ["AMR", "AMR-WB"])

FORMS: dict[str, Form] = {"AMR": NARROW, "AMR-WB": WIDE}
TALKERS = {"narrow": ("AMR", 440.0), "wide": ("AMR-WB", 700.0), "mu": ("PCMU", 1000.0)}


class Ears(dict[int, Any]):
    """OpenCORE's decoders, whatever the SSRC."""

    def __init__(self, codec: str) -> None:
        super().__init__()
        self._codec = codec

    def __missing__(self, ssrc: int) -> Any:
        coder = find(self._codec)
        assert isinstance(coder, Coder)
        self[ssrc] = coder.decoder(codecs.RATES[self._codec])
        return self[ssrc]

    def __contains__(self, ssrc: object) -> bool:
        return True


@modes
def test_who_talks_in_turn_is_heard_by_all_others(mode: str) -> None:
    room = Room()
    room.create(mode, rate=16000)
    for name, (codec, _) in TALKERS.items():
        phone = room.join(name, codec=codec)
        if codec in FORMS:
            phone.ears = Ears(codec)
    for talker, (codec, hertz) in TALKERS.items():
        room.phones[talker].voice = tone(hertz, codecs.RATES[codec])
        room.run(1500)
        for name in TALKERS:
            level = hear(room.phones[name], hertz)
            if name == talker:
                assert level < -40, f"{name} hears itself: {level:.1f} dB"
            else:
                assert abs(level) < 1, f"{name} hears {talker} at {level:.1f} dB"
        room.phones[talker].voice = None
        room.run(1000)
    assert not any(phone.refused for phone in room.phones.values())
    room.check_tally()


@modes
@each
def test_who_talks_at_once_with_another_hears_only_that_one(mode: str, codec: str) -> None:
    room = Room()
    room.create(mode, rate=16000)
    amr = room.join("amr", tone(440.0, codecs.RATES[codec]), codec=codec)
    amr.ears = Ears(codec)
    mu = room.join("mu", tone(1000.0), codec="PCMU")
    room.run(2000)
    assert abs(hear(amr, 1000.0)) < 1
    assert hear(amr, 440.0) < -40
    assert abs(hear(mu, 440.0)) < 1
    assert hear(mu, 1000.0) < -40


# -- modes


def asking(room: Room, name: str, codec: str, mode: int) -> Phone:
    """A leg that says nothing but which mode it wants to hear."""
    phone = room.join(name, silence, codec=codec)
    phone.mouth = mouth = codecs.AmrMouth(codec)
    mouth.request = mode
    return phone


def silence(at: NDArray[np.int64]) -> NDArray[np.int16]:
    return np.zeros(len(at), np.int16)


def ask(phone: Phone, mode: int) -> None:
    assert isinstance(phone.mouth, codecs.AmrMouth)
    phone.mouth.request = mode


def sent_modes(phone: Phone, codec: str) -> set[int]:
    """Frame types of the last packets that a phone was sent."""
    return {FORMS[codec].kind(heard.packet.payload) for heard in phone.heard[-5:]}


@modes
@each
def test_all_are_sent_the_lowest_mode_that_is_asked_for(mode: str, codec: str) -> None:
    """RFC 4867 section 3.3.1: what is shared must suit everybody. A request holds until there is another."""
    highest = len(FORMS[codec].bits) - 2
    room = Room()
    room.create(mode, rate=16000)
    room.join("mu", tone(440.0), codec="PCMU")
    ann, bob = asking(room, "ann", codec, 15), asking(room, "bob", codec, 15)
    plain = room.join("plain", codec=codec)
    for wishes, sent in (((15, 15), highest), ((3, 15), 3), ((3, 1), 1), ((3, 15), 1), ((3, 5), 3), ((6, 5), 5)):
        for phone, wish in zip((ann, bob), wishes, strict=True):
            ask(phone, wish)
        room.run(300)
        assert [sent_modes(phone, codec) for phone in (ann, bob, plain)] == [{sent}] * 3, wishes


@modes
@each
def test_who_asked_for_a_low_mode_and_left_keeps_nobody_low(mode: str, codec: str) -> None:
    highest = len(FORMS[codec].bits) - 2
    room = Room()
    room.create(mode, rate=16000)
    room.join("mu", tone(440.0), codec="PCMU")
    asking(room, "ann", codec, 0)
    plain = room.join("plain", codec=codec)
    room.run(300)
    assert sent_modes(plain, codec) == {0}
    room.leave("ann")
    room.run(300)
    assert sent_modes(plain, codec) == {highest}


@each
@pytest.mark.parametrize("alone", [False, True])
def test_a_mode_that_is_asked_for_in_silence_is_sent_in_silence(codec: str, alone: bool) -> None:
    room = Room()
    room.create("unique", rate=16000)
    ann = asking(room, "ann", codec, 5)
    room.apply(LegModify(leg="ann", alone=alone))
    room.run(1000)
    assert sent_modes(ann, codec) == {5}
    ask(ann, 1)
    room.run(300)
    assert sent_modes(ann, codec) == {1}


@each
def test_a_talker_is_sent_the_mode_that_it_asks_for_and_listeners_theirs(codec: str) -> None:
    """A talker has a mix of its own, and so an encoder."""
    room = Room()
    room.create("unique", rate=16000)
    room.join("mu", tone(440.0), codec="PCMU")
    talker = room.join("talker", tone(700.0, codecs.RATES[codec]), codec=codec)
    talker.mouth = codecs.AmrMouth(codec)
    talker.mouth.request = 2
    ear = asking(room, "ear", codec, 5)
    room.run(600)
    assert sent_modes(talker, codec) == {2}
    assert sent_modes(ear, codec) == {2}, "the talker shares the listeners' stream whenever it pauses"
    talker.mouth.request = 6
    room.run(300)
    assert sent_modes(talker, codec) == {6}
    assert sent_modes(ear, codec) == {5}


@each
def test_only_modes_of_the_mode_set_are_sent(codec: str) -> None:
    room = Room()
    room.create("unique", rate=16000)
    room.join("mu", tone(440.0), codec="PCMU")
    ear = room.join("ear", silence, codec=codec, amr=Amr(modes=(0, 2, 5)))
    ear.mouth = codecs.AmrMouth(codec)
    for wish, sent in ((15, 5), (4, 2), (1, 0), (7, 5)):
        ask(ear, wish)
        room.run(300)
        assert sent_modes(ear, codec) == {sent}


# -- pauses


@each
def test_a_leg_in_dtx_is_quiet_and_is_not_decoded(codec: str) -> None:
    rate = codecs.RATES[codec]
    room = Room()
    room.create("unique", rate=16000)
    ann = room.join("ann", tone(440.0, rate), codec=codec)
    ann.mouth = codecs.AmrMouth(codec, dtx="1")
    ear = room.join("ear", codec="L16", clock=16000, direction="recvonly", rx=None)
    room.run(1000)
    assert room.show().talkers == ["ann"]
    ann.voice = silence
    room.run(2000)
    decodes, accepted = room.engine.counters.decodes, room.engine.tally.accepted
    ear.forget()
    room.run(1000)
    assert room.engine.tally.accepted - accepted == 50
    assert room.engine.counters.decodes == decodes
    assert room.show().talkers == []
    assert not ear.audio().any()
    ann.voice = tone(440.0, rate)
    room.run(1000)
    assert abs(hear(ear, 440.0)) < 1


@each
def test_a_pause_is_sent_as_comfort_noise_to_who_wants_dtx(codec: str) -> None:
    room = Room()
    room.create("unique", rate=16000)
    ann = room.join("ann", tone(440.0), codec="PCMU")
    ear = room.join("ear", codec=codec, amr=Amr(dtx=True), direction="recvonly", rx=None)
    plain = room.join("plain", codec=codec, direction="recvonly", rx=None)
    room.run(600)
    speech = len(FORMS[codec].bits) - 2
    assert sent_modes(ear, codec) == {speech}
    ann.voice = None
    room.run(2000)
    assert sent_modes(ear, codec) <= {speech + 1, 15}
    assert sent_modes(plain, codec) == {speech}
