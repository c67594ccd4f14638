"""Reception statistics against RFC 3550 appendix A, transcribed."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mixer.reception import Reception
from tests.naive import Source

MS = 1_000_000
RATE = 8000


class Pair:
    """The columns and the transcription, fed alike; row 3 of 5."""

    def __init__(self) -> None:
        self.mine, self.theirs = Reception(5), Source(RATE)
        self.mine.open(3)

    def note(self, seq: int, timestamp: int, arrival_ns: int) -> bool:
        columns = (np.array([value]) for value in (3, seq, timestamp, arrival_ns, RATE))
        new = bool(self.mine.note(*columns)[0])
        self.theirs.update(seq, timestamp, arrival_ns)
        return new

    def lost(self) -> int:
        return int(self.mine.lost(np.array([3]))[0])

    def check(self) -> None:
        report = self.mine.report(3)
        assert report is not None
        fraction, lost, highest, jitter = report
        assert (fraction, lost) == self.theirs.report()
        assert highest == (self.theirs.cycles + self.theirs.max_seq) & 0xFFFF_FFFF
        assert jitter == pytest.approx(self.theirs.jitter, abs=1.01)
        assert self.lost() == max(0, lost)


@st.composite
def arrivals(draw: st.DrawFn) -> list[tuple[int, int]]:
    """(number, delay in ms) of packets that come, some late, some twice."""
    count = draw(st.integers(2, 60))
    numbers = sorted(draw(st.sets(st.integers(0, 80), min_size=2, max_size=count)))
    delays = [(n, draw(st.integers(0, 90))) for n in numbers]
    again = draw(st.lists(st.sampled_from(delays), max_size=3))
    return sorted(delays + [(n, delay + 7) for n, delay in again], key=lambda pair: pair[0] * 20 + pair[1])


@given(arrivals(), st.sampled_from([0, 1000, 65_500]), st.integers(1, 5))
def test_loss_and_jitter_by_the_book(packets: list[tuple[int, int]], start: int, reports: int) -> None:
    pair = Pair()
    for at, (number, delay) in enumerate(packets):
        timestamp = 0xFFFF_F000 + 160 * number  # unwrapped: the book's arithmetic, without its 32 bits
        pair.note((start + number) & 0xFFFF, timestamp, (20 * number + delay) * MS)
        if at % (len(packets) // reports + 1) == 0:
            pair.check()
    pair.check()


def test_nothing_came() -> None:
    reception = Reception(2)
    reception.open(0)
    assert reception.report(0) is None
    assert reception.lost(np.array([0])).tolist() == [0]


def test_fraction_is_of_the_interval() -> None:
    pair = Pair()
    for number in range(100):
        if number % 4:
            pair.note(number, 160 * number, 20 * number * MS)
    report = pair.mine.report(3)
    assert report is not None
    assert report[0] == 24 * 256 // 99
    assert report[1] == 24, "the first of all came before we began to count"
    for number in range(100, 200):
        pair.note(number, 160 * number, 20 * number * MS)
    report = pair.mine.report(3)
    assert report is not None
    assert report[:2] == (0, 24)


def test_jitter_settles_at_the_mean_deviation() -> None:
    pair = Pair()
    for number in range(400):
        pair.note(number, 160 * number, (20 * number + 10 * (number % 2)) * MS)
    assert pair.mine.jitter[3] == pytest.approx(80, rel=0.01)


def test_timestamp_wrap_is_no_jitter() -> None:
    reception = Reception(1)
    reception.open(0)
    for number in range(10):
        timestamp = 0xFFFF_FD00 + 160 * number & 0xFFFF_FFFF
        reception.note(*(np.array([value]) for value in (0, number, timestamp, 20 * number * MS, RATE)))
    assert reception.jitter[0] < 0.01


def test_new_packets_are_told_from_copies() -> None:
    pair = Pair()
    news = {10: True, 12: True, 11: True, 75: True, 74: True}
    for seq in (10, 12, 11, 12, 10, 75, 11, 74):
        assert pair.note(seq, 0, 0) == news.pop(seq, False), "what is 64 behind is not called new"


def test_another_ssrc_begins_anew_and_the_total_stays() -> None:
    pair = Pair()
    for seq in (1, 2, 5):
        pair.note(seq, 0, 0)
    pair.mine.restart(3)
    assert pair.lost() == 2
    assert pair.mine.report(3) is None
    pair.mine.note(*(np.array([value]) for value in (3, 40_000, 0, 0, RATE)))
    assert (pair.lost(), pair.mine.total[3]) == (2, 4)
    pair.mine.open(3)
    assert (pair.lost(), pair.mine.total[3]) == (0, 0)


def test_many_legs_at_once() -> None:
    together, rng = Reception(50), np.random.default_rng(1)
    alone = [Source(RATE) for _ in range(50)]
    for row in range(50):
        together.open(row)
    for number in range(60):
        rows = np.flatnonzero(rng.random(50) < 0.9)
        arrival = rng.integers(0, 40, len(rows)) * MS + 20 * number * MS
        stamps = np.full(len(rows), 160 * number)
        together.note(rows, np.full(len(rows), number), stamps, arrival, np.full(len(rows), RATE))
        for row, when in zip(rows.tolist(), arrival.tolist(), strict=True):
            alone[row].update(number, 160 * number, when)
    for row in range(50):
        report = together.report(row)
        assert report is not None
        assert report[:2] == alone[row].report()
        assert together.jitter[row] == pytest.approx(alone[row].jitter)


# -- what is not opened -----------------------------------------------------------------------


@given(st.permutations(range(1, 32)), st.integers(0, 0xFFFF), st.integers(1, 63))
def test_what_is_passed_over_counts_when_it_is_behind_what_is_opened(order: list[int], start: int, until: int) -> None:
    reception, row = Reception(5), np.array([3])
    reception.open(3)

    def note(step: int) -> None:
        reception.note(row, np.array([start + step & 0xFFFF]), row * 0, row * 0, row * 0 + RATE)

    note(0)
    for step in order:
        if step != until:
            reception.pass_over(row, reception.ahead(row, np.array([start + step & 0xFFFF])))
    note(until)
    assert reception.received[3] == 1 + min(until, 32)
    assert reception.lost(row)[0] == max(0, until - 32)
    note(64 + until)
    assert reception.received[3] == (33 if until < 32 else 34), "the others are behind now"


def test_a_number_that_was_passed_over_is_not_due_again() -> None:
    reception, row = Reception(5), np.array([3])
    reception.open(3)
    assert reception.ahead(row, np.array([7]))[0] == 0  # nothing has come
    reception.note(row, np.array([65_530]), row * 0, row * 0, row * 0 + RATE)
    assert reception.ahead(row, np.array([2]))[0] == 8
    reception.pass_over(row, np.array([8]))
    assert reception.ahead(row, np.array([2]))[0] == 0
    assert reception.ahead(row, np.array([3]))[0] == 9
    assert reception.ahead(row, np.array([65_530]))[0] == 0
    assert reception.ahead(row, np.array([65_000]))[0] < 0
    assert reception.ahead(row, np.array([40_000]))[0] < 0
