"""SSRCs: no two owners in a conference, none issued twice (I11)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mixer.registry import SsrcRegistry


def test_a_second_claimant_is_refused_and_the_first_unharmed() -> None:
    registry = SsrcRegistry()
    assert registry.claim(0, 77, 1)
    assert not registry.claim(0, 77, 2)
    assert registry.owner(0, 77) == 1
    assert registry.claim(0, 77, 1), "claiming again is no conflict with oneself"
    assert registry.claim(1, 77, 2), "another conference is another world"


def test_only_the_owner_can_release() -> None:
    registry = SsrcRegistry()
    registry.claim(0, 77, 1)
    registry.release(0, 77, 2)
    assert registry.owner(0, 77) == 1
    registry.release(0, 77, 1)
    assert registry.owner(0, 77) == -1
    assert registry.claim(0, 77, 2)


def test_ours_are_never_zero_never_repeated_never_claimed(monkeypatch: pytest.MonkeyPatch) -> None:
    registry = SsrcRegistry()
    registry.claim(0, 5, 1)
    registry.release(0, 5, 1)
    draws = iter([0, 5, 6, 6, 7])
    monkeypatch.setattr("mixer.registry.secrets.randbits", lambda bits: next(draws))
    assert registry.allocate(0) == 6
    assert registry.allocate(0) == 7
    assert not registry.claim(0, 6, 2), "what we send with nobody else may"
    assert registry.is_ours(6)
    assert not registry.is_ours(5)
    registry.forget(0)
    assert not registry.is_ours(6), "the conference is over, and its keys with it"
    assert registry.claim(1, 6, 2)


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 1), st.integers(1, 4), st.integers(0, 3)), max_size=40))
def test_as_a_dict_of_owners(steps: list[tuple[bool, int, int, int]]) -> None:
    registry, owners = SsrcRegistry(), dict[tuple[int, int], int]()
    for claims, conference, ssrc, leg in steps:
        if claims:
            assert registry.claim(conference, ssrc, leg) == (owners.setdefault((conference, ssrc), leg) == leg)
        else:
            registry.release(conference, ssrc, leg)
            if owners.get((conference, ssrc)) == leg:
                del owners[conference, ssrc]
        assert registry.owner(conference, ssrc) == owners.get((conference, ssrc), -1)
