"""The life of a daemon, where it is not its own process that is tested."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest

from control import life


@pytest.fixture
def collector() -> Iterator[None]:
    """Leave the garbage collector as it was."""
    before = gc.get_threshold()
    yield
    gc.unfreeze()
    gc.set_threshold(*before)


@pytest.mark.usefixtures("collector")
def test_what_is_there_when_all_is_set_up_is_not_looked_at_again() -> None:
    old = [object(), []]
    life.spare_the_collector()
    assert gc.get_freeze_count() > 1000
    assert not any(each is old for each in gc.get_objects())
    assert gc.get_threshold() == life.COLLECT
    cycle: list[object] = []
    cycle.append(cycle)
    del cycle
    assert gc.collect() >= 1, "what becomes garbage after is collected"
