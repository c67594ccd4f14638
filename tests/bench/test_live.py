"""The whole chain once: generator, floor and a real daemon on loopback. Small: no numbers are judged."""

from __future__ import annotations

from typing import Any

import pytest

from bench.capacity import complaints, measure
from bench.memory import weigh
from bench.plan import Plan


@pytest.mark.parametrize(
    "options",
    [
        {"keying": "group"},
        {"keying": "unique", "mki": 4, "suite": "AEAD_AES_128_GCM", "codec": "PCMA"},
        {"keying": "group", "mki": 2, "uplink": "group", "roc": 3, "suite": "AES_256_CM_HMAC_SHA1_80"},
    ],
    ids=["group", "unique", "mki"],
)
async def test_a_small_load_is_heard_right(options: dict[str, Any]) -> None:
    plan = Plan(legs=14, conferences=2, talkers=2, seconds=1.4, warmup=2.0, seed="live", **options)
    result, verdict = await measure(plan)
    assert complaints(plan, verdict, result) == []
    assert verdict.received > 0
    assert verdict.stray == 0
    assert result.floor_us_per_leg_tick > 0
    assert result.cpu_us_per_leg_tick > result.floor_us_per_leg_tick
    # Of each conference the common mix, and one for each of its two talkers.
    assert result.encodes_per_tick == pytest.approx(6, abs=0.2)
    assert result.encrypts_per_tick == pytest.approx(14 if plan.keying == "unique" else 6, abs=0.2)
    assert 0 < result.mouth_to_ear_ms.p50 < 200


async def test_legs_are_weighed() -> None:
    weight = await weigh(Plan(legs=50, seconds=0.5, warmup=0.5, seed="live"))
    assert weight.loaded_mib > weight.base_mib > 10


async def test_legs_in_clear_that_say_their_level_are_heard_right() -> None:
    fields: dict[str, Any] = {"keying": "unique", "clear": True, "quiet": "level127"}
    plan = Plan(legs=8, talkers=2, seconds=1.2, warmup=2.0, seed="live", **fields)
    result, verdict = await measure(plan)
    assert complaints(plan, verdict, result) == []
    assert (result.encrypts_per_tick, result.quiet) == (0, "level127")
    assert result.lost == 0


@pytest.mark.parametrize("quiet", ["dtx", "level127"])
async def test_opus_is_encoded_once_for_all_listeners_and_heard_right(quiet: str) -> None:
    fields: dict[str, Any] = {"codec": "opus", "bitrate": 96_000, "quiet": quiet}
    plan = Plan(legs=12, talkers=2, seconds=2.4, warmup=2.0, seed="live", **fields)
    result, verdict = await measure(plan)
    assert complaints(plan, verdict, result) == []
    assert result.encodes_per_tick == result.encrypts_per_tick == pytest.approx(3, abs=0.2)
    assert result.stages_us["encode"] > 0
    assert result.stages_us["decode"] > 0
