"""Token buckets, on a clock that the test moves."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from control.kms.limits import Buckets, Rate


def test_a_burst_and_then_the_rate() -> None:
    buckets = Buckets(Rate(per_s=2.0, burst=3))
    assert [buckets.take("a", 10.0) for _ in range(4)] == [0.0, 0.0, 0.0, 0.5]
    assert buckets.take("b", 10.0) == 0.0, "another has a bucket of its own"
    assert buckets.take("a", 10.25) == 0.25, "refused requests cost nothing"
    assert buckets.take("a", 10.5) == 0.0
    assert buckets.take("a", 10.5) == 0.5
    assert [buckets.take("a", 1000.0) for _ in range(4)] == [0.0, 0.0, 0.0, 0.5], "it never holds more than a burst"


def test_a_clock_that_stands_still_gives_nothing_away() -> None:
    buckets = Buckets(Rate(per_s=1.0, burst=1))
    assert buckets.take("a", 5.0) == 0.0
    assert buckets.take("a", 4.0) == 1.0


def test_memory_is_bounded() -> None:
    buckets = Buckets(Rate(1.0, 1), most=10)
    for number in range(100):
        assert buckets.take(str(number), 0.0) == 0.0
    assert len(buckets) == 10
    assert buckets.take("99", 0.0) > 0


@settings(deadline=None)
@given(
    st.floats(0.1, 100),
    st.integers(1, 20),
    st.lists(st.floats(0, 2), min_size=1, max_size=60),
)
def test_never_more_than_a_burst_and_the_rate(per_s: float, burst: int, pauses: list[float]) -> None:
    buckets, now, taken = Buckets(Rate(per_s, burst)), 0.0, 0
    for pause in pauses:
        now += pause
        taken += buckets.take("a", now) == 0.0
        assert taken <= burst + now * per_s + 1e-3


@settings(deadline=None)
@given(st.floats(0.1, 1000), st.integers(1, 5), st.floats(0, 1e6))
def test_who_waits_as_told_is_served(per_s: float, burst: int, now: float) -> None:
    buckets = Buckets(Rate(per_s, burst))
    for _ in range(burst):
        assert buckets.take("a", now) == 0.0
    wait_s = buckets.take("a", now)
    assert wait_s > 0
    assert buckets.take("a", now + wait_s) == 0.0
