"""The command: what it is told becomes a plan, and what came of a run becomes a table and an exit code."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest

from bench.callers import __main__ as command
from bench.callers.play import Outcome, Plan
from bench.callers.script import Tally

GOOD = Outcome(rows=[], problems=[], arrivals=Tally(dialled=2, answered=2), churned=Tally())


def told(monkeypatch: pytest.MonkeyPatch, outcome: Outcome, *words: str) -> tuple[int, list[Plan]]:
    """Run the command, but for the calls; returns the exit code and what it planned."""
    plans: list[Plan] = []

    async def play(plan: Plan) -> Outcome:
        plans.append(plan)
        return outcome

    monkeypatch.setattr(command, "play", play)
    monkeypatch.setattr(sys, "argv", ["callers", "sip:room@127.0.0.1", *words])
    return command.main(), plans


def test_words_become_a_plan(monkeypatch: pytest.MonkeyPatch) -> None:
    words = "--callers 4 --dtls 1 --churn 2/s --hold --misbehave silent,wrong_key --bound 0 --transport tcp"
    code, (plan,) = told(monkeypatch, GOOD, *words.split())
    assert code == 0
    assert (plan.uri, plan.churn_per_s, plan.hold, plan.bound_s) == ("sip:room@127.0.0.1", 2.0, True, 0.0)
    casting = plan.casting
    assert (casting.callers, casting.dtls, casting.transport) == (4, 1, "tcp")
    assert casting.misbehave == ("silent", "wrong_key")
    assert casting.churners == command.CHURNERS


def test_a_misbehaviour_that_nobody_knows_is_said_before_anybody_calls(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert told(monkeypatch, GOOD, "--misbehave", "rudely") == (2, [])
    assert "no caller misbehaves by 'rudely'" in capsys.readouterr().err


def test_what_is_untrue_is_the_exit_code(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    bad = Outcome([], ["anna hears itself"], Tally(dialled=1), Tally(dialled=3, answered=2), control_reads=7)
    bad.arrivals.failures["503"] = 1
    assert told(monkeypatch, bad)[0] == 1
    said = capsys.readouterr()
    assert said.err == "UNTRUE: anna hears itself\n"
    assert "0 of 1 calls were answered; 2 of 3 came and went." in said.out
    assert "could read 7 packets" in said.out
    assert "Everybody heard" not in said.out
    assert "1 x 503" in said.out


def test_all_is_well(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert told(monkeypatch, GOOD)[0] == 0
    assert capsys.readouterr().out.endswith("Everybody heard all who talked, and nobody itself.\n")


def test_json_and_recordings(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    outcome = Outcome([], [], Tally(dialled=1, answered=1), Tally(), samples={"anna": np.zeros(160, np.float32)})
    assert told(monkeypatch, outcome, "--json", "--wav", str(tmp_path / "out"))[0] == 0
    assert json.loads(capsys.readouterr().out)["answered"] == 1
    assert (tmp_path / "out" / "anna.wav").stat().st_size == 44 + 320
