"""What prompts cost in encodes: who hears the same shares one, and what was said before is not encoded again."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from mixer.codecs import CodecError
from mixer.codecs.opus import OpusDecoder, OpusEncoder
from mixer.port import LegDial, LegModify, Opus, PlayStart, PlayStop, Tone
from tests.codecs import RATES
from tests.mixer.phone import Phone, tone
from tests.mixer.room import MODES, Room
from tests.mixer.test_engine_codecs import residue_db
from tests.tones import level_db

PROMPT = 731.0
PROMPT_DBOV = -20.0
OTHER = 1187.0
LOUDNESS = {"opus": 1, "G722": 1, "AMR": 2, "AMR-WB": 4}
"""How far off the codec itself may put a tone, dB."""
TICKS = 25
"""In half a second."""

codecs = pytest.mark.parametrize("codec", ["opus", "G722", "AMR", "AMR-WB"])


def waiting_room(codec: str, callers: int, mode: str = "unique", **fields: Any) -> Room:
    """Callers who hear nothing but what is played to them, and have heard nothing for long."""
    room = Room()
    room.create(mode, rate=RATES[codec])
    for number in range(callers):
        if mode == "ssrc":
            fields["tx"] = room.key(f"tx:caller{number}")
        room.join(f"caller{number}", codec=codec, alone=True, **fields)
    room.run(600)
    return room


def play(room: Room, *legs: str, hz: float = PROMPT, ms: int = 500, **fields: Any) -> None:
    wish = {"play": "-".join(legs), "tones": (Tone(hz=hz, ms=ms, level_dbov=PROMPT_DBOV),)} | fields
    room.apply(PlayStart(legs=legs, **wish))


def encodes(room: Room, ms: int = 500) -> int:
    before = room.engine.counters.encodes
    room.run(ms)
    return room.engine.counters.encodes - before


def level(room: Room, name: str, hertz: float = PROMPT, last_ms: int = 300) -> float:
    phone = room.phones[name]
    return level_db(phone.sound(last_ms), hertz, rate=phone.rate) - 3.01  # a sine at full scale is -3.01 dBov


def by_libopus(phone: Phone) -> NDArray[np.float64]:
    """What is heard by nearly all; FFmpeg's own decoder makes a step where an encoder goes to another mode."""
    decoder = OpusDecoder(phone.rate)
    return np.concatenate([decoder.decode(heard.packet.payload) for heard in phone.heard]) / 32768.0


@codecs
def test_legs_that_hear_the_same_prompt_share_an_encode(codec: str) -> None:
    room = waiting_room(codec, 4)
    play(room, "caller0", "caller1", "caller2")
    assert encodes(room) == TICKS
    for number, heard in enumerate([True, True, True, False]):
        assert (abs(level(room, f"caller{number}") - PROMPT_DBOV) < LOUDNESS[codec]) == heard


@pytest.mark.parametrize("mode", MODES)
def test_listeners_of_a_conference_share_one_too(mode: str) -> None:
    room = Room()
    room.create(mode, rate=16000)
    room.join("ann", tone(OTHER, 48000), codec="opus")
    for number in range(4):
        room.join(f"ear{number}", codec="opus")
    room.run(1000)
    assert encodes(room) == TICKS
    play(room, "ear0", "ear1", "ear2", ms=2000)
    room.run(500)
    assert encodes(room) == 2 * TICKS
    for number in range(4):
        assert abs(level(room, f"ear{number}", OTHER) - level(room, "ear3", OTHER)) < 1
        assert (level(room, f"ear{number}") > -30) == (number < 3)


@codecs
@pytest.mark.parametrize("late_ms", [20, 140, 2000])
def test_the_next_caller_costs_no_encode(codec: str, late_ms: int) -> None:
    room = waiting_room(codec, 1)
    play(room, "caller0", ms=400)
    room.run(400)
    first = room.phones["caller0"].sound(300)
    assert abs(level(room, "caller0") - PROMPT_DBOV) < LOUDNESS[codec]
    room.run(1000)
    late = room.join("late", codec=codec, alone=True)
    room.run(late_ms)
    before = room.engine.counters.encodes
    play(room, "late", ms=400)
    room.run(400)
    assert room.engine.counters.encodes == before
    second = late.sound(300)
    assert level_db(second - first, PROMPT, rate=late.rate) < level_db(first, PROMPT, rate=late.rate) - 30


def test_nor_does_one_who_is_greeted_at_once_while_others_talk() -> None:
    room = Room()
    room.create(rate=48000)
    for name, hertz in {"ann": OTHER, "bob": 2.5 * OTHER}.items():
        room.join(name, tone(hertz, 48000), codec="opus")
    for name in ("caller0", "caller1"):
        room.run(500)
        before = room.engine.counters.encodes
        room.join(name, codec="opus", alone=True)
        play(room, name, ms=200)
        room.run(200)
        new = room.engine.counters.encodes - before - 2 * 10
        assert new == (10 if name == "caller0" else 0)
        assert abs(level(room, name, last_ms=160) - PROMPT_DBOV) < 2
        assert level(room, name, OTHER, last_ms=160) < -60


def test_what_sounds_otherwise_is_encoded() -> None:
    room = waiting_room("opus", 5)
    room.join("stereo", codec="opus", opus=Opus(stereo=True), alone=True)
    room.run(600)
    play(room, "caller0")
    first = encodes(room, 1500)
    others: dict[str, dict[str, Any]] = {"caller1": {"hz": OTHER}, "caller2": {"gain_db": -6.0}, "stereo": {}}
    for name, fields in others.items():
        play(room, name, **fields)
        assert encodes(room, 1500) == first, name
    play(room, "caller4")
    assert encodes(room, 1500) == 0


@codecs
def test_a_known_prompt_can_be_left_amid(codec: str) -> None:
    """Behind what is known, an encoder goes on that was spared all of it: it does not click."""
    room = waiting_room(codec, 2)
    play(room, "caller0", ms=3000)
    room.run(300)
    room.apply(PlayStop(play="caller0"))
    room.run(1000)
    caller = room.phones["caller1"]
    caller.forget()
    play(room, "caller1", ms=3000)
    assert encodes(room, 1000) == 1000 // 20 - 300 // 20
    sound = by_libopus(caller) if codec == "opus" else caller.sound()
    begin = int(np.argmax(np.abs(sound) > 0.03)) + caller.rate // 10
    steps = np.abs(np.diff(sound[begin : begin + caller.rate * 8 // 10]))
    steepest = 2 * np.pi * PROMPT / caller.rate * np.abs(sound[begin:]).max()
    assert steps.max() < 1.3 * steepest
    assert abs(level(room, "caller1") - PROMPT_DBOV) < LOUDNESS[codec]


@pytest.mark.parametrize("codec", ["opus", "G722"])
def test_who_shares_an_encoder_parts_when_it_hears_something_else(codec: str) -> None:
    room = waiting_room(codec, 3)
    play(room, "caller0", "caller1", "caller2", ms=5000)
    room.run(500)
    play(room, "caller1", hz=OTHER, ms=5000)
    room.run(60)
    assert encodes(room) == 2 * TICKS
    assert level(room, "caller1", OTHER) > -25
    for name in ("caller0", "caller2"):
        assert level(room, name, OTHER) < -60
        sound = room.phones[name].sound(500)
        assert residue_db(sound, PROMPT, room.phones[name].rate).max() < -30


def test_who_is_let_in_amid_a_prompt_hears_the_conference() -> None:
    room = waiting_room("opus", 2)
    room.join("ann", tone(OTHER, 48000), codec="opus")
    for name in ("caller0", "caller1"):
        play(room, name, ms=200)
        room.run(700)
    play(room, "caller1", ms=2000)
    room.run(100)
    room.apply(LegModify(leg="caller1", alone=False))
    room.run(500)
    assert level(room, "caller1", OTHER) > -30
    assert level(room, "caller1") > -25
    assert level(room, "caller0", OTHER) < -60


def test_talk_is_not_remembered() -> None:
    """Who says again what was said is encoded again: a conference leaves nothing behind."""
    room = Room()
    room.create(rate=48000)
    for name in ("ann", "bob"):
        room.join(name, codec="opus")
    room.run(1000)
    spent = []
    for _ in range(2):
        play(room, "bob", ms=400)
        spent.append(encodes(room, 1500))
    assert spent[0] == spent[1] > 20


def test_an_encoder_that_fails_leaves_nothing_wrong_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    room = waiting_room("opus", 2)

    def refuse(self: OpusEncoder, samples: object) -> bytes:
        raise CodecError("on purpose")

    with monkeypatch.context() as broken:
        broken.setattr(OpusEncoder, "encode", refuse)
        play(room, "caller0", ms=400)
        room.run(1500)
    assert room.engine.counters.encode_failures > 0
    play(room, "caller1", ms=400)
    assert encodes(room, 400) == TICKS * 4 // 5
    assert abs(level(room, "caller1") - PROMPT_DBOV) < 2


def test_who_is_sent_comfort_noise_hears_nothing_of_who_rested_with_it() -> None:
    room = waiting_room("G722", 3, comfort_noise=13)
    for phone in room.phones.values():
        phone.forget()
    play(room, "caller0", "caller1")
    assert encodes(room) == TICKS
    assert {heard.packet.payload_type for heard in room.phones["caller2"].heard} == {13}
    assert abs(level(room, "caller0") - PROMPT_DBOV) < LOUDNESS["G722"]


def test_who_is_alone_hears_nothing_of_the_others_after_keys() -> None:
    """Its encoder begins anew then, and not where the one of the conference stands: amid what is said there."""
    room = Room()
    room.create(rate=48000)
    room.join("ann", tone(OTHER, 48000), codec="L16", clock=48000)
    room.join("ear", codec="opus", dtmf_out=102)
    caller = room.join("caller", codec="opus", dtmf_out=102, alone=True)
    room.run(1000)
    room.apply(LegDial(leg="caller", digits="4"))
    room.run(60)
    caller.forget()
    room.run(600)
    caller.heard[:] = [heard for heard in caller.heard if heard.packet.payload_type != 102]
    assert len(caller.heard) > 10
    assert np.abs(caller.sound()).max() < 1e-3
