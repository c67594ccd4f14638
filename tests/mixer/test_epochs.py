"""The life of a group key against its table, and the ledger of keys sent under."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mixer.epochs import MAX_PREPARED, KeyLine, check_key
from mixer.port import Key, PortError, Refusal
from mixer.secret import Secret, SecretError
from mixer.suites import SUITES, SuiteName


def key(epoch: int = 1, mki: str = "", octets: bytes = bytes(range(30)), suite: SuiteName | None = None) -> Key:
    return Key(suite=suite or "AES_CM_128_HMAC_SHA1_80", secret=Secret(octets), mki=mki, epoch=epoch)


def refusal(call: object, *arguments: object) -> Refusal:
    with pytest.raises(PortError) as caught:
        call(*arguments)  # type: ignore[operator]
    return caught.value.refusal


def wiped(secret: Secret) -> bool:
    try:
        secret.reveal()
    except SecretError:
        return True
    return False


def test_the_way_of_a_key() -> None:
    keys = KeyLine()
    first, second = key(3), key(4)
    keys.prepare(first)
    assert keys.activate(3) is first
    keys.prepare(second)
    assert keys.active is first
    assert keys.activate(4) is second
    assert wiped(first.secret)
    assert not wiped(second.secret)
    keys.wipe()
    assert wiped(second.secret)
    assert keys.active is None


def test_aborted_never_comes_back() -> None:
    keys = KeyLine()
    gone = key(7)
    keys.prepare(gone)
    keys.abort(7)
    assert wiped(gone.secret)
    assert refusal(keys.activate, 7) == Refusal.UNKNOWN_EPOCH
    assert refusal(keys.prepare, key(7)) == Refusal.BAD_EPOCH
    assert refusal(keys.abort, 7) == Refusal.UNKNOWN_EPOCH


def test_activating_forgets_what_was_prepared_before() -> None:
    keys = KeyLine()
    older, newer = key(1), key(2)
    keys.prepare(older)
    keys.prepare(newer)
    keys.activate(2)
    assert wiped(older.secret)
    assert refusal(keys.activate, 1) == Refusal.UNKNOWN_EPOCH


def test_mkis_tell_keys_apart_and_have_one_length() -> None:
    keys = KeyLine()
    keys.prepare(key(1, "0001"))
    assert refusal(keys.prepare, key(2, "0001")) == Refusal.INVALID
    keys.activate(1)
    assert refusal(keys.prepare, key(2, "01")) == Refusal.INVALID
    assert refusal(keys.prepare, key(2, "0001")) == Refusal.INVALID
    keys.prepare(key(2, "0002"))
    assert sorted(keys.prepared) == [2]


@given(st.lists(st.tuples(st.sampled_from(["prepare", "activate", "abort"]), st.integers(1, 6)), max_size=25))
def test_against_the_table(steps: list[tuple[str, int]]) -> None:
    keys = KeyLine()
    prepared: set[int] = set()
    active = highest = 0
    for what, epoch in steps:
        if what == "prepare":
            may = epoch > highest and len(prepared) < MAX_PREPARED
            if not may:
                assert refusal(keys.prepare, key(epoch)) == Refusal.BAD_EPOCH
                continue
            keys.prepare(key(epoch))
            prepared.add(epoch)
            highest = epoch
        elif epoch not in prepared:
            assert refusal(getattr(keys, what), epoch) == Refusal.UNKNOWN_EPOCH
        else:
            getattr(keys, what)(epoch)
            prepared.discard(epoch)
            if what == "activate":
                active, prepared = epoch, {e for e in prepared if e > epoch}
        assert (keys.active.epoch if keys.active else 0) == active
        assert set(keys.prepared) == prepared


@pytest.mark.parametrize("name", SUITES)
def test_a_key_fits_its_suite(name: SuiteName) -> None:
    size = SUITES[name].secret
    assert check_key(key(octets=bytes(range(size)), suite=name), "rx") is SUITES[name]
    for octets in (bytes(range(size - 1)), bytes(range(size + 1)), bytes(size), b"\x55" * size):
        assert refusal(check_key, key(octets=octets, suite=name), "rx") == Refusal.BAD_KEY
