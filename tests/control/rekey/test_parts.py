"""The small parts: numbers of epochs, alarms, settings."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from control.rekey.alarms import Alarms
from control.rekey.epochs import GENERATION_MAX, EpochError, epoch_of, generation_of, mki_of, step_of
from control.rekey.records import Alarm, Cohort, Kind
from control.rekey.settings import RekeySettings


@given(st.integers(1, GENERATION_MAX), st.integers(0, 255))
def test_an_epoch_is_a_generation_and_a_step(generation: int, step: int) -> None:
    epoch = epoch_of(generation, step)
    assert (generation_of(epoch), step_of(epoch)) == (generation, step)
    mki = mki_of(epoch)
    assert int.from_bytes(mki, "big") == epoch
    assert len(mki) == 4
    assert mki[0] < 0x80, "bit 31 is for the own keys of legs"


@given(
    st.tuples(st.integers(1, GENERATION_MAX), st.integers(0, 255)), st.tuples(st.integers(1, 99), st.integers(0, 255))
)
def test_epochs_are_ordered_as_generations_and_steps(one: tuple[int, int], other: tuple[int, int]) -> None:
    assert (epoch_of(*one) < epoch_of(*other)) == (one < other)


@pytest.mark.parametrize(("generation", "step"), [(0, 0), (GENERATION_MAX + 1, 0), (1, 256), (1, -1), (-1, 0)])
def test_there_are_no_others(generation: int, step: int) -> None:
    with pytest.raises(EpochError, match="begin a new"):
        epoch_of(generation, step)


@pytest.mark.parametrize("epoch", [0, 0xFF, 0x8000_0000, 1 << 32, -1])
def test_an_mki_is_of_an_epoch(epoch: int) -> None:
    with pytest.raises(EpochError):
        mki_of(epoch)


def alarm() -> Alarm:
    return Alarm(Kind.REKEY, Cohort(0))


@given(st.lists(st.tuples(st.integers(0, 4), st.sampled_from(["set", "earlier", "unset"]), st.integers(0, 20))))
def test_alarms_ring_once_at_the_time_last_set(steps: list[tuple[int, str, int]]) -> None:
    alarms, known = Alarms(), [alarm() for _ in range(5)]
    expected: dict[int, int] = {}
    for which, what, when in steps:
        if what == "set":
            alarms.set(known[which], when)
            expected[which] = when
        elif what == "earlier":
            alarms.set_earlier(known[which], when)
            expected[which] = min(when, expected.get(which, when))
        else:
            known[which].unset()
            expected.pop(which, None)
    assert alarms.due() == min(expected.values(), default=None)
    assert alarms.pop(-1) is None
    rung = []
    while (ringing := alarms.pop(20)) is not None:
        rung.append(known.index(ringing))
    assert sorted(rung) == sorted(expected)
    assert [expected[which] for which in rung] == sorted(expected.values())
    assert alarms.due() is None


def test_alarms_can_be_forgotten() -> None:
    alarms = Alarms()
    alarms.set(alarm(), 1.0)
    alarms.clear()
    assert alarms.due() is None


@pytest.mark.parametrize(
    ("knobs", "words"),
    [
        ({"n_group_on": 5, "n_group_off": 6}, "flap"),
        ({"retransmit": (0.3, 0.1)}, "rise"),
        ({"backoff_min": 5.0, "backoff_max": 4.0}, "backoff_max"),
        ({"ack_timeout": 0.0}, "ack_timeout"),
        ({"mode": "both"}, "mode"),
        ({"cohort": 1}, "cohort"),
    ],
    ids=str,
)
def test_settings_that_cannot_be_are_refused(knobs: dict[str, object], words: str) -> None:
    with pytest.raises(msgspec.ValidationError, match=words):
        msgspec.convert(knobs, RekeySettings)


def test_the_defaults_are_those_that_were_measured() -> None:
    known = RekeySettings()
    assert (known.mode, known.n_group_on, known.n_group_off, known.cohort_target) == ("auto", 256, 192, 256)
    assert (known.t_leave_min, known.ack_timeout, known.ack_timeout_evict, known.bridge_max) == (2.0, 1.0, 0.25, 1500)
    assert (known.promote_legs, known.promote_s, known.epoch_max_age) == (64, 30.0, 300.0)
    assert msgspec.convert(msgspec.to_builtins(known), RekeySettings) == known
