"""The checker has teeth: a right mix passes, and each thing done wrong is named."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from bench import downlink
from bench.plan import Plan
from bench.verdict import Verdict, judge
from tests.bench.standin import DELAY, HOP_NS, Faults, mix

SUITES = ["AES_CM_128_HMAC_SHA1_80", "AES_CM_128_HMAC_SHA1_32", "AES_256_CM_HMAC_SHA1_80", "AEAD_AES_128_GCM"]

CODECS = ["opus", "G722", "AMR", pytest.param("AMR-WB", marks=pytest.mark.needs("libvo-amrwbenc"))]


def plan(**changes: Any) -> Plan:
    fields: dict[str, Any] = {
        "legs": 10,
        "conferences": 2,
        "talkers": 3,
        "seconds": 1.5,
        "warmup": 0.6,
        "seed": "test",
    }
    made = Plan(**(fields | changes))
    made.check()
    return made


def verdict(p: Plan, faults: Faults | None = None) -> Verdict:
    got = mix(p, faults)
    arrived = downlink.arrivals(p, got.octets, got.length, got.destination, got.arrival_ns)
    return judge(p, arrived, got.said_ns, got.window_ns, np.zeros(1))


@pytest.mark.parametrize("keying", ["group", "unique"])
@pytest.mark.parametrize("mki", [0, 1, 4])
@pytest.mark.parametrize("suite", SUITES)
def test_a_right_mix_passes(keying: str, mki: int, suite: str) -> None:
    p = plan(keying=keying, mki=mki, suite=suite)
    v = verdict(p)
    assert v.problems == []
    assert (v.lost, v.duplicates, v.disordered, v.auth_failures, v.stray, v.gaps) == (0, 0, 0, 0, 0, 0)
    assert v.received == 10 * 75
    assert abs(v.heard_db) < 0.5
    assert v.self_db < -45
    assert v.rest_db < -30


@pytest.mark.parametrize(("codec", "rate"), [("PCMA", 8000), ("L16", 8000), ("L16", 16000)])
def test_other_codecs_pass(codec: str, rate: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.bench.standin.ROOM", 800)
    assert verdict(plan(codec=codec, rate=rate)).problems == []


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("quiet", ["level127", "sound"])
def test_codecs_with_memory_pass(codec: str, quiet: str) -> None:
    v = verdict(plan(codec=codec, quiet=quiet))
    assert v.problems == []
    assert (v.lost, v.auth_failures) == (0, 0)


@pytest.mark.parametrize("codec", CODECS)
def test_what_is_wrong_is_seen_through_a_codec_with_memory(codec: str) -> None:
    p = plan(codec=codec, quiet="level127")
    assert any("hears talker 1 " in problem for problem in verdict(p, Faults(unheard={1})).problems)
    assert any("hears itself" in problem for problem in verdict(p, Faults(self_db=-20)).problems)
    assert any("no talker said" in problem for problem in verdict(p, Faults(foreign=True)).problems)


def test_a_right_mix_in_clear_passes() -> None:
    assert verdict(plan(keying="unique", clear=True)).problems == []


def test_lateness_is_against_the_earliest_packet() -> None:
    assert verdict(plan()).arrival_ms.max == 0


def test_latency_is_exact() -> None:
    """A packet said at t, with its burst's phase, is heard `DELAY` ticks and a hop after tick t."""
    p = plan(talkers=1, legs=4, conferences=1)
    v = verdict(p)
    expected = DELAY * 20.0 + HOP_NS / 1e6  # leg 0 speaks in burst 0
    assert v.mouth_to_ear_ms.p50 == v.mouth_to_ear_ms.max == pytest.approx(expected)


def test_hearing_oneself_is_seen_30_db_down() -> None:
    v = verdict(plan(), Faults(self_db=-30))
    assert v.self_db == pytest.approx(-30, abs=1)
    assert any("hears itself" in problem for problem in v.problems)


def test_hearing_oneself_50_db_down_is_allowed() -> None:
    v = verdict(plan(), Faults(self_db=-50))
    assert v.self_db < -44
    assert v.problems == []


def test_what_is_constant_is_no_sound() -> None:
    assert verdict(plan(), Faults(constant=0.03)).problems == []


def test_a_missing_talker_is_seen() -> None:
    v = verdict(plan(), Faults(unheard={1}))
    assert any("hears talker 1 " in problem for problem in v.problems)
    assert not any("hears talker 2 " in problem for problem in v.problems)


def test_another_conference_in_the_mix_is_seen() -> None:
    v = verdict(plan(), Faults(foreign=True))
    assert any("no talker said" in problem for problem in v.problems)


def test_silence_is_seen() -> None:
    v = verdict(plan(), Faults(skip={(4, tick) for tick in range(200)}))
    assert "leg 4 heard next to nothing" in v.problems
    assert v.lost == 75


@pytest.mark.parametrize("keying", ["group", "unique"])
def test_losses_and_copies_are_counted(keying: str) -> None:
    faults = Faults(skip={(4, 60), (4, 61), (9, 50), (0, 10)}, twice={(3, 70)})
    v = verdict(plan(keying=keying), faults)
    assert v.lost == 3  # tick 10 is in the warm-up
    assert v.duplicates == 1
    assert v.gaps == 2


@pytest.mark.parametrize("keying", ["group", "unique"])
def test_a_wrong_bit_is_not_authentic(keying: str) -> None:
    v = verdict(plan(keying=keying), Faults(flip={(4, 60), (1, 61)}))
    assert v.auth_failures == 2


def test_another_key_is_not_authentic() -> None:
    p = plan()
    got = mix(p)
    arrived = downlink.arrivals(p, got.octets, got.length, got.destination, got.arrival_ns)
    v = judge(plan(seed="another"), arrived, got.said_ns, got.window_ns, np.zeros(1))
    assert v.auth_failures == len(arrived.leg)
    assert v.problems


def test_strays_and_control_are_set_aside() -> None:
    p = plan()
    got = mix(p)
    got.octets[0, 0] = 0x16
    got.destination[1] += 1000
    got.octets[2, 1] = 200
    arrived = downlink.arrivals(p, got.octets, got.length, got.destination, got.arrival_ns)
    assert (arrived.stray, arrived.rtcp) == (2, 1)
    assert len(arrived.leg) == len(got.length) - 3
