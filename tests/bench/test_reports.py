"""What the benchmarks print: the JSON that others parse, medians, the table, the curves, failures."""

from __future__ import annotations

import sys
from pathlib import Path

import msgspec
import pytest

from bench import capacity, sweep
from bench.plan import Plan
from bench.processes import BenchError, child, cpu_ns, rss_kib
from bench.verdict import Spread, Verdict
from tests.bench.verdicts import verdict

KEYS = [
    "legs",
    "conferences",
    "keying",
    "codec",
    "suite",
    "cpu_us_per_leg_tick",
    "floor_us_per_leg_tick",
    "ratio_to_floor",
    "legs_per_core",
    "decodes_per_tick",
    "encodes_per_tick",
    "encrypts_per_tick",
    "late_ticks",
    "lateness_ms",
    "mouth_to_ear_ms",
    "lost",
    "auth_failures",
    "rss_mib",
    "stages_us",
    "quiet",
]


def result(cpu: float = 8.0, lost: int = 0) -> capacity.Result:
    return capacity.Result(
        legs=2000,
        conferences=1,
        keying="group",
        codec="PCMU",
        suite="AES_CM_128_HMAC_SHA1_80",
        cpu_us_per_leg_tick=cpu,
        floor_us_per_leg_tick=4.0,
        ratio_to_floor=cpu / 4,
        legs_per_core=int(20_000 / cpu),
        decodes_per_tick=3.0,
        encodes_per_tick=4.0,
        encrypts_per_tick=4.0,
        late_ticks=0,
        lateness_ms=Spread(0.1, 0.5, cpu),
        mouth_to_ear_ms=Spread(40.0, 50.0, 60.0),
        lost=lost,
        auth_failures=0,
        rss_mib=100.0,
        stages_us={"mix": cpu},
    )


def test_the_json_has_these_keys_in_this_order() -> None:
    decoded = msgspec.json.decode(msgspec.json.encode(result()))
    assert list(decoded) == KEYS
    assert list(decoded["lateness_ms"]) == list(decoded["mouth_to_ear_ms"]) == ["p50", "p99", "max"]


def test_medians_hide_no_loss() -> None:
    middle = capacity.median([result(7.0), result(9.0, lost=3), result(8.0)])
    assert (middle.cpu_us_per_leg_tick, middle.lost, middle.lateness_ms.max) == (8.0, 3, 8.0)
    assert middle.stages_us == {"mix": 8.0}
    assert isinstance(middle.legs, int)
    assert capacity.median([result()]) == result()


@pytest.mark.parametrize("wrong", [[], ["leg 1 hears itself at -20.0 dB"]])
def test_wrong_content_is_an_exit_code(
    wrong: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    async def measure(plan: Plan) -> tuple[capacity.Result, Verdict]:
        return result(), verdict(problems=wrong)

    monkeypatch.setattr(capacity, "measure", measure)
    monkeypatch.setattr(sys, "argv", ["capacity", "--json"])
    assert capacity.main() == (1 if wrong else 0)
    out, err = capsys.readouterr()
    assert list(msgspec.json.decode(out.splitlines()[-1])) == KEYS
    assert ("hears itself" in err) == bool(wrong)


def test_a_mixer_that_skips_work_is_not_called_cheap() -> None:
    plan = Plan(legs=10)
    heard = msgspec.structs.replace(verdict(), received=900, lost=100)
    assert any("overloaded" in problem for problem in capacity.complaints(plan, heard, result()))
    heard = msgspec.structs.replace(heard, lost=1)
    assert capacity.complaints(plan, heard, result()) == []


def test_the_table_goes_between_its_markers() -> None:
    page = f"above\n{sweep.BEGIN}\nold\n{sweep.END}\nbelow\n"
    kept = sweep.Kept(
        machine="m",
        day="2026-01-01",
        repeat=3,
        points=[sweep.Point(curve="c", command="run it", result=result())],
    )
    made = sweep.into_page(page, sweep.table(kept))
    assert "| 2000 | 1 | group | PCMU |" in made
    assert "run it" in made
    assert "old" not in made
    assert made.startswith("above")
    assert made.endswith("below\n")
    assert sweep.into_page(made, sweep.table(kept)) == made
    with pytest.raises(BenchError, match="markers"):
        sweep.into_page("nothing", "x")


def test_the_page_in_the_repository_has_the_markers() -> None:
    sweep.into_page(sweep.PAGE.read_text(encoding="utf-8"), "")


def test_curves_are_drawn(tmp_path: Path) -> None:
    points = [
        sweep.Point(curve="group", command="", result=msgspec.structs.replace(result(), legs=legs))
        for legs in (100, 300)
    ]
    kept = sweep.Kept(machine="m", day="", repeat=1, points=points)
    for path in sweep.draw(kept, tmp_path):
        assert path.read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("quick", [True, False])
def test_every_command_of_the_sweep_is_a_plan(quick: bool) -> None:
    for _, options in sweep.commands(quick):
        capacity.plan_of(capacity.parser("").parse_args(options.split()))


async def test_a_child_is_measured_and_ended() -> None:
    code = "import sys\nprint('up', sum(range(3_000_000)), flush=True)\nsys.stdin.read()"
    async with child("sum", 0, "-c", code) as summing:
        await summing.expect("up", 10)
        assert cpu_ns(summing.process.pid) > 10_000_000
        assert rss_kib(summing.process.pid) > 1000
        with pytest.raises(BenchError, match="said nothing"):
            await summing.line(0.05)
    assert summing.process.returncode is not None
    async with child("short", 0, "-c", "raise SystemExit(3)") as short:
        with pytest.raises(BenchError, match="ended with code 3"):
            await short.line(10)
