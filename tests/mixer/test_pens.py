"""Pens by themselves: what is remembered, and for how long."""

from __future__ import annotations

import numpy as np
import pytest

from mixer.codecs import CODECS
from mixer.memo import OVERHEAD, Memo
from mixer.pens import SETTLED_MS, Pen
from mixer.samples import Samples
from mixer.streams import Format

OPUS = next(number for number, codec in enumerate(CODECS) if codec.name == "opus")
RATE, PTIME = 16000, 20
WIDTH = RATE * PTIME // 1000
SILENCE = np.zeros(WIDTH, np.int16)


@pytest.fixture
def memo() -> Memo:
    return Memo()


def pen() -> Pen:
    form = Format(conference=0, codec=OPUS, clock=48000, payload_type=111, ptime=PTIME, level_out=0)
    return Pen.new(form, RATE)


def words(seed: int) -> list[Samples]:
    noise = np.random.default_rng(seed).integers(-8000, 8000, (10, WIDTH))
    return list(noise.astype(np.int16))


def said(pen: Pen, memo: Memo | None, samples: list[Samples]) -> tuple[list[bytes], int]:
    """The packets, and how many had to be encoded."""
    packets, new = [], 0
    for piece in samples:
        if not pen.hear(piece, memo):
            pen.write(piece)
            new += 1
            if pen.said and memo is not None:
                memo.put(pen.said, pen.last)
        packets.append(pen.last)
    return packets, new


def test_what_was_said_is_said_again_without_an_encoder(memo: Memo) -> None:
    first, second = pen(), pen()
    assert said(first, memo, words(1)) == (said(second, memo, words(1))[0], 10)
    assert said(pen(), memo, words(1))[1] == 0


def test_only_all_since_the_last_silence_is_the_same(memo: Memo) -> None:
    said(pen(), memo, words(1))
    assert said(pen(), memo, words(2) + words(1))[1] == 20
    assert said(pen(), memo, words(1)[1:])[1] == 9


@pytest.mark.parametrize("packets", [1, 5, SETTLED_MS // PTIME + 1])
def test_silence_before_it_makes_no_difference(memo: Memo, packets: int) -> None:
    said(pen(), memo, words(1))
    other = pen()
    said(other, memo, [SILENCE] * packets)
    assert said(other, memo, words(1))[1] == 0


def test_a_short_pause_within_it_does(memo: Memo) -> None:
    said(pen(), memo, [*words(1), SILENCE, *words(2)])
    assert said(pen(), memo, words(1) + [SILENCE] * 2 + words(2))[1] == 11
    assert said(pen(), memo, [*words(1), SILENCE, *words(2)])[1] == 0


def test_who_took_part_in_a_talk_is_not_remembered_until_it_is_silent(memo: Memo) -> None:
    one = pen()
    said(one, None, words(1))
    said(one, memo, words(2))
    assert not len(memo)
    said(one, memo, [SILENCE] * (SETTLED_MS // PTIME + 1))
    said(one, memo, words(2))
    assert len(memo) == 10


def test_a_mode_that_is_asked_for_is_another_sound(memo: Memo) -> None:
    said(pen(), memo, words(1))
    other = pen()
    other.ask(3)
    assert said(other, memo, words(1))[1] == 10


def test_what_was_used_longest_ago_is_forgotten() -> None:
    memo = Memo(octets=3 * (10 + OVERHEAD))
    for name in (b"a", b"b", b"c"):
        memo.put(name, bytes(10))
    assert memo.get(b"a") == bytes(10)
    memo.put(b"d", bytes(10))
    assert memo.get(b"b") is None
    assert [memo.get(name) for name in (b"a", b"c", b"d")] == [bytes(10)] * 3


def test_putting_twice_counts_once() -> None:
    memo = Memo(octets=3 * (10 + OVERHEAD))
    for _ in range(9):
        memo.put(b"a", bytes(10))
    memo.put(b"b", bytes(20 + OVERHEAD))
    assert len(memo) == 2


def test_a_fork_goes_on_where_the_other_stands(memo: Memo) -> None:
    one = pen()
    said(one, None, words(1))
    two = one.fork()
    assert said(one, None, words(2)) == said(two, None, words(2))
    assert said(one, None, words(1)) != said(two, None, words(2))
