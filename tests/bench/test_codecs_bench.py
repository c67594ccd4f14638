"""What is made of the numbers of `bench.codecs`."""

from __future__ import annotations

import msgspec
import pytest

from bench import codecs
from bench.capacity import Result, plan_of
from bench.rekey import tables
from bench.sweep import PAGE
from tests.bench.test_reports import result

NO_FAULTS: dict[str, list[str]] = {case.name: [] for case in codecs.CASES}


def one_round(machine: float, opus: float) -> dict[str, Result]:
    """A round on a machine so slow, in which Opus takes so many times as much."""
    return {
        case.name: msgspec.structs.replace(
            result(machine * (opus if case.codec == "opus" else 1.0)), codec=case.codec, quiet=case.quiet
        )
        for case in codecs.CASES
    }


def test_quotients_are_taken_round_by_round() -> None:
    """A machine that is slower in one round changes no quotient."""
    measured = codecs.summary([one_round(5, 1.2), one_round(50, 1.2), one_round(6, 1.4)], NO_FAULTS)
    assert [one.ratio for one in measured] == [None, 1.2, None, 1.2, None, 1.2]
    assert all(one.reached for one in measured)


@pytest.mark.parametrize(("opus", "reached"), [(1.5, True), (1.6, False)])
def test_the_target_is_held_against_the_cases_that_have_one(opus: float, reached: bool) -> None:
    measured = codecs.summary([one_round(10, opus)], NO_FAULTS)
    assert [one.reached for one in measured if one.case.target] == [reached] * 2
    assert all(one.reached for one in measured if not one.case.target)


def test_wrong_content_reaches_no_target() -> None:
    wrong = NO_FAULTS | {"opus, dtx": ["leg 1 hears itself"]}
    measured = codecs.summary([one_round(10, 1.0)], wrong)
    assert [one.case.name for one in measured if not one.reached] == ["opus, dtx"]
    text = codecs.report(codecs.Found(machine="m", day="d", repeat=1, measured=measured))
    assert "- opus, dtx: leg 1 hears itself" in text
    assert "does not hold" in text


def test_the_report_shows_quotients_and_stages_and_goes_into_the_page() -> None:
    measured = codecs.summary([one_round(10, 1.25)], NO_FAULTS)
    text = codecs.report(codecs.Found(machine="m", day="d", repeat=1, measured=measured))
    assert "1.25 times PCMU, silence, at most 1.5" in text
    assert "| mix | 10 | 12.5 |" in text
    page = tables.fill(PAGE.read_text(encoding="utf-8"), "codecs", text)
    assert tables.fill(page, "codecs", text) == page


def test_every_case_is_a_plan() -> None:
    options = codecs.parser().parse_args([])
    for case in codecs.CASES:
        plan = plan_of(options, codec=case.codec, quiet=case.quiet, legs=10, conferences=1)
        assert plan.quiet == case.quiet
        assert not case.base or case.base in NO_FAULTS
