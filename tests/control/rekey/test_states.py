"""The table of a cohort's life, and the page that shows it."""

from __future__ import annotations

from pathlib import Path

import pytest

from control.rekey import drawing
from control.rekey.records import Cohort
from control.rekey.states import TRANSITIONS, IllegalMove, Move, State

PAGE = (Path(__file__).parents[3] / "docs" / "rekeying-policy.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("state", State)
def test_a_move_that_is_not_in_the_table_is_refused(state: State) -> None:
    for move in Move:
        cohort = Cohort(7)
        cohort.state = state
        if move in TRANSITIONS[state]:
            cohort.move(move)
            assert cohort.state is TRANSITIONS[state][move]
        else:
            with pytest.raises(IllegalMove, match=f"cohort 7 is {state}: it cannot"):
                cohort.move(move)
            assert cohort.state is state


def test_every_state_can_be_reached_and_left() -> None:
    reached = {State.RESTING}
    for _ in State:
        reached |= {following for state in reached for following in TRANSITIONS[state].values()}
    assert reached == set(State) == set(TRANSITIONS)
    for state in set(State) - {State.GONE}:
        ways = {state}
        for _ in State:
            ways |= {following for step in ways for following in TRANSITIONS[step].values()}
        assert State.GONE in ways, f"{state} is a trap"
    assert TRANSITIONS[State.GONE] == {}


def test_every_move_is_used() -> None:
    assert {move for moves in TRANSITIONS.values() for move in moves} == set(Move)


@pytest.mark.parametrize("part", [drawing.diagram, drawing.table, drawing.knobs])
def test_the_page_shows_the_table_and_the_knobs(part: object) -> None:
    assert callable(part)
    assert part() in PAGE, "put the output of `python -m control.rekey.drawing` into docs/rekeying-policy.md"
