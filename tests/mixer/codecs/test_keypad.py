"""Every key is told once, in order, whatever is lost, repeated or late."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mixer.codecs.events import KEYS
from mixer.codecs.keypad import MEMORY_MS, SILENCE_MS, KeyPad, Stroke

TICK_MS = 20
UNIT = 160
CLOCK = 8000


@dataclass(frozen=True)
class Report:
    """One event packet and when it comes."""

    frame: int
    timestamp: int
    event: int
    duration: int
    end: bool = False


@dataclass(frozen=True)
class Pressing:
    """A key that somebody presses, in packets of 20 ms: down for `long`, then nothing for `pause`."""

    event: int
    long: int
    pause: int


def reports(presses: list[Pressing], start: int = 0) -> list[list[Report]]:
    """What a sender makes of them (RFC 4733 section 2.5.1), a list for each."""
    sent, frame = [], 0
    for press in presses:
        timestamp = (start + frame * UNIT) % 2**32
        during = [Report(frame + n, timestamp, press.event, n * UNIT) for n in range(1, press.long)]
        ends = [Report(frame + press.long + n, timestamp, press.event, press.long * UNIT, True) for n in range(3)]
        sent.append(during + ends)
        frame += press.long + press.pause
    return sent


def told(packets: list[Report], row: int = 7) -> list[Stroke]:
    """What a key pad says, given each packet at its time or, if that is past, at once; and then nothing for long."""
    pad, strokes, frame = KeyPad(TICK_MS), list[Stroke](), 0
    for packet in packets:
        while frame < packet.frame:
            frame += 1
            strokes += pad.step(frame)
        strokes += pad.hear(row, packet.timestamp, packet.event, packet.duration, frame, end=packet.end, clock=CLOCK)
    for later in range(1, MEMORY_MS // TICK_MS + 1):
        strokes += pad.step(frame + later)
    assert len(pad) == 0
    return strokes


def strokes_of(presses: list[tuple[int, int]], row: int = 7) -> list[Stroke]:
    """Down and up of (event, units)."""
    return [
        stroke
        for event, units in presses
        for stroke in (Stroke(row, KEYS[event]), Stroke(row, KEYS[event], units * 1000 // CLOCK))
    ]


pressings = st.lists(
    st.builds(Pressing, st.integers(0, 16), st.integers(1, 20), st.integers(3, 60)), min_size=1, max_size=8
)


@given(pressings, st.integers(0, 2**32 - 1), st.data())
def test_any_packet_of_an_event_is_enough(presses: list[Pressing], start: int, data: st.DataObject) -> None:
    """Lost, doubled and out of order within the event: a key still is told once, and in its turn."""
    survivors = [
        data.draw(st.lists(st.sampled_from(packets), min_size=1, max_size=2 * len(packets)))
        for packets in reports(presses, start)
    ]
    expected = [(packets[0].event, max(packet.duration for packet in packets)) for packets in survivors]
    assert told([packet for packets in survivors for packet in packets]) == strokes_of(expected)


def test_a_key_is_told_with_its_first_packet() -> None:
    pad = KeyPad(TICK_MS)
    assert pad.hear(0, 5, 11, 160, 1, end=False, clock=CLOCK) == [Stroke(0, "#")]
    assert pad.hear(0, 5, 11, 320, 2, end=False, clock=CLOCK) == []
    assert pad.hear(0, 5, 11, 480, 3, end=True, clock=CLOCK) == [Stroke(0, "#", 60)]
    assert pad.hear(0, 5, 11, 480, 4, end=True, clock=CLOCK) == []
    assert pad.hear(0, 5, 11, 320, 5, end=False, clock=CLOCK) == []


def test_a_key_whose_ends_are_lost_comes_up_after_half_a_second_and_not_twice() -> None:
    pad = KeyPad(TICK_MS)
    silence = SILENCE_MS // TICK_MS
    pad.hear(3, 0, 1, 800, 10, end=False, clock=CLOCK)
    assert [pad.step(frame) for frame in range(11, 10 + silence)] == [[]] * (silence - 1)
    assert pad.step(10 + silence) == [Stroke(3, "1", 100)]
    assert pad.hear(3, 0, 1, 960, 11 + silence, end=True, clock=CLOCK) == []
    assert pad.step(11 + silence) == []


def test_the_same_key_again_is_another_press() -> None:
    once = reports([Pressing(5, 5, 3), Pressing(5, 5, 3)])
    assert told([*once[0], *once[1]]) == strokes_of([(5, 800), (5, 800)])
    assert told([once[0][0], once[1][0]]) == strokes_of([(5, 160), (5, 160)])


def test_a_packet_of_an_earlier_key_tells_nothing_any_more() -> None:
    first, second = reports([Pressing(1, 5, 3), Pressing(2, 5, 3)])
    late = [*first[:-1], *second[:2], first[-1], first[0], *second[2:]]
    assert told(late) == strokes_of([(1, 800), (2, 800)])


def test_another_event_at_the_same_time_is_not_believed() -> None:
    first = reports([Pressing(1, 5, 3)])[0]
    forged = Report(3, first[0].timestamp, 9, 320, True)
    assert told([first[0], forged, *first[1:]]) == strokes_of([(1, 800)])


def test_timestamps_wrap_within_a_key_and_between_keys() -> None:
    sent = reports([Pressing(8, 20, 3), Pressing(8, 5, 3)], start=2**32 - 1600)
    assert sent[1][0].timestamp < sent[0][0].timestamp
    assert told([*sent[0], *sent[1]]) == strokes_of([(8, 3200), (8, 800)])


def test_a_timestamp_may_be_given_beyond_its_32_bits() -> None:
    """So that the offset of a block can just be added."""
    pad = KeyPad(TICK_MS)
    assert pad.hear(0, 2**32 + 90, 1, 160, 1, end=False, clock=CLOCK) == [Stroke(0, "1")]
    assert pad.hear(0, 90, 1, 320, 2, end=True, clock=CLOCK) == [Stroke(0, "1", 40)]


def long_press(packets: int, most: int, start: int = 0) -> list[Report]:
    """A key that is down longer than a block can tell (section 2.5.1.3): a new segment every `most` units."""
    sent = []
    for packet in range(1, packets + 1):
        segment = (packet * UNIT - 1) // most
        timestamp = (start + segment * most) % 2**32
        full = packet * UNIT // most > segment and packet < packets
        duration = most if full else packet * UNIT - segment * most
        sent.append(Report(packet, timestamp, 4, duration, packet == packets))
    return sent + sent[-1:] * 2


@pytest.mark.parametrize("most", [0xFFFF, 0xFFFF // UNIT * UNIT], ids=["whole field", "whole packets"])
@pytest.mark.parametrize("start", [0, 2**32 - 100_000], ids=["", "wraps"])
def test_a_key_held_for_half_a_minute_is_one_press(most: int, start: int) -> None:
    sent = long_press(1500, most, start)
    assert len({packet.timestamp for packet in sent}) > 3
    assert told(sent) == strokes_of([(4, 1500 * UNIT)])


@given(st.sets(st.integers(0, 1499), max_size=400))
def test_a_long_press_is_one_whatever_is_lost_of_it(lost: set[int]) -> None:
    """As long as nothing is missing for half a second."""
    kept = {number for number in range(1503) if number not in lost or number % 20 == 0}
    sent = long_press(1500, 0xFFFF)
    assert told([packet for number, packet in enumerate(sent) if number in kept]) == strokes_of([(4, 1500 * UNIT)])


def test_a_late_packet_of_an_earlier_segment_tells_nothing() -> None:
    sent = long_press(600, 0xFFFF)
    assert sent[450].timestamp > 0
    assert told([*sent[:450], sent[100], sent[405], *sent[450:]]) == strokes_of([(4, 600 * UNIT)])


def test_legs_do_not_hear_one_another() -> None:
    pad = KeyPad(TICK_MS)
    assert pad.hear(0, 0, 1, 160, 1, end=False, clock=8000) == [Stroke(0, "1")]
    assert pad.hear(1, 0, 1, 160, 1, end=False, clock=48000) == [Stroke(1, "1")]
    assert pad.hear(1, 0, 1, 4800, 2, end=True, clock=48000) == [Stroke(1, "1", 100)]
    assert pad.hear(0, 0, 1, 800, 2, end=True, clock=8000) == [Stroke(0, "1", 100)]


def test_a_leg_that_goes_or_starts_afresh_lets_go_of_its_key() -> None:
    pad = KeyPad(TICK_MS)
    pad.hear(0, 5000, 1, 160, 1, end=False, clock=CLOCK)
    assert pad.forget(0) == [Stroke(0, "1", 20)]
    assert pad.forget(0) == []
    assert pad.hear(0, 10, 1, 160, 2, end=False, clock=CLOCK) == [Stroke(0, "1")]


def test_what_is_remembered_is_bounded() -> None:
    pad = KeyPad(TICK_MS)
    for number in range(5000):
        pad.hear(number % 3, number * 1000, number % 17, 160, 0, end=number % 2 == 0, clock=CLOCK)
    assert len(pad) == 3
    for frame in range(1, MEMORY_MS // TICK_MS + 1):
        pad.step(frame)
    assert len(pad) == 0
    assert pad.hear(0, 0, 1, 160, 600, end=False, clock=CLOCK) == [Stroke(0, "1")]
