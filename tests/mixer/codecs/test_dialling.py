"""What is sent for digits, as a plain reading of RFC 4733 has it, and as the key pad understands it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mixer.codecs.dialling import DIGITS, QUEUE, Dialling, DiallingError, Event
from mixer.codecs.keypad import KeyPad, Stroke


def everything(dialling: Dialling) -> list[Event | None]:
    steps = []
    while dialling.waiting:
        steps.append(dialling.step())
    return steps


def test_a_digit_is_a_tone_of_100_ms_with_its_end_three_times_and_a_pause() -> None:
    dialling = Dialling(8000, 20)
    dialling.dial("#")
    steps = everything(dialling)
    payloads = [step.payload.hex() if step else None for step in steps]
    ends = ["0b8a0320"] * 3
    assert payloads == ["0b0a00a0", "0b0a0140", "0b0a01e0", "0b0a0280", *ends, None]
    assert [step.first for step in steps if step] == [True] + [False] * 6
    assert [step.began for step in steps if step] == list(range(7))
    assert dialling.step() is None


@pytest.mark.parametrize("ptime", [5, 10, 20, 30, 40, 60, 120])
@pytest.mark.parametrize("clock", [8000, 16000, 48000])
def test_tone_and_pause_last_long_enough_at_any_ptime(clock: int, ptime: int) -> None:
    dialling = Dialling(clock, ptime)
    dialling.dial("11")
    steps = everything(dialling)
    first, second = (n for n, step in enumerate(steps) if step and step.first)
    ends = [step for step in steps[:second] if step and step.payload[1] & 0x80]
    assert len({step.payload for step in ends}) == 1
    assert len(ends) == 3
    tone_ms = int.from_bytes(ends[0].payload[2:], "big") * 1000 // clock
    assert 100 <= tone_ms < 100 + ptime
    assert (second - first) * ptime - tone_ms >= 50


@given(st.text(st.sampled_from(DIGITS), max_size=QUEUE), st.sampled_from([10, 20, 60]))
def test_the_key_pad_hears_what_is_dialled(digits: str, ptime: int) -> None:
    dialling, pad = Dialling(8000, ptime), KeyPad(ptime)
    dialling.dial(digits)
    strokes: list[Stroke] = []
    for frame, step in enumerate(everything(dialling)):
        strokes += pad.step(frame)
        if step:
            event, flags, duration = step.payload[0], step.payload[1], int.from_bytes(step.payload[2:], "big")
            timestamp = (frame - step.began) * 8 * ptime
            strokes += pad.hear(0, timestamp, event, duration, frame, end=flags >= 0x80, clock=8000)
    assert "".join(stroke.key for stroke in strokes if stroke.duration_ms is None) == digits
    assert len(strokes) == 2 * len(digits)


@pytest.mark.parametrize("digits", ["12x", "a", " ", "1\n"])
def test_what_is_no_digit_is_refused_and_nothing_of_it_sent(digits: str) -> None:
    dialling = Dialling(8000, 20)
    with pytest.raises(DiallingError, match="no key of a telephone"):
        dialling.dial(digits)
    assert dialling.waiting == 0
    assert dialling.step() is None


def test_the_queue_is_bounded() -> None:
    dialling = Dialling(8000, 20)
    dialling.dial("1" * (QUEUE - 1))
    with pytest.raises(DiallingError, match=f"over {QUEUE}"):
        dialling.dial("22")
    assert dialling.waiting == QUEUE - 1
    dialling.dial("3")
    keys = [step.payload[0] for step in everything(dialling) if step and step.first]
    assert keys == [1] * (QUEUE - 1) + [3]


def test_a_stop_lets_the_tone_that_sounds_end() -> None:
    dialling = Dialling(8000, 20)
    dialling.dial("456")
    dialling.step()
    dialling.stop()
    steps = everything(dialling)
    assert {step.payload[0] for step in steps if step} == {4}
    assert [step.payload[1] >> 7 for step in steps if step] == [0, 0, 0, 1, 1, 1]
    dialling.dial("7")
    dialling.stop()
    assert dialling.step() is None
