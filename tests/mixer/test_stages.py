"""Stopwatch and lateness, on a clock made of a list."""

from __future__ import annotations

from mixer.stages import WINDOW, Lateness, Stages


def test_laps_go_to_the_step_that_ended() -> None:
    clock = iter([100, 130, 150, 1000, 1010])
    stages = Stages(lambda: next(clock))
    stages.begin()
    stages.lap("parse")
    stages.lap("route")
    stages.begin()
    stages.lap("parse")
    assert stages.total == {"parse": 40, "route": 20}
    assert stages.per_tick_us(2) == {"parse": 0.0, "route": 0.0}


def test_microseconds_a_tick() -> None:
    clock = iter([0, 5_000_000])
    stages = Stages(lambda: next(clock))
    stages.begin()
    stages.lap("mix")
    assert stages.per_tick_us(100) == {"mix": 50.0}
    assert stages.per_tick_us(0) == {"mix": 5000.0}


def test_percentiles() -> None:
    lateness = Lateness()
    assert lateness.percentiles_ms() == {"p50": 0.0, "p99": 0.0, "max": 0.0}
    for ms in range(1, 101):
        lateness.note(ms * 1_000_000)
    assert lateness.percentiles_ms() == {"p50": 51.0, "p99": 100.0, "max": 100.0}
    assert lateness.late == 90


def test_what_is_older_than_the_window_shows_only_in_the_count() -> None:
    lateness = Lateness()
    lateness.note(50_000_000)
    for _ in range(WINDOW):
        lateness.note(1_000_000)
    assert lateness.percentiles_ms() == {"p50": 1.0, "p99": 1.0, "max": 1.0}
    assert lateness.late == 1
