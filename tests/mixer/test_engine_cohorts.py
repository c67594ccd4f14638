"""Cohorts: one conference, one mix, one encode; a group key for each cohort."""

from __future__ import annotations

import itertools

import msgspec
import numpy as np
import pytest

from mixer.port import KeyActivate, KeyExpired, KeyExpiring, KeyPrepare, KeySwitched, PortError, Refusal
from tests.mixer.phone import Phone, tone
from tests.mixer.room import Room
from tests.mixer.tap import readable
from tests.mixer.test_engine_keys import start_at

styles = pytest.mark.parametrize("style", ["ssrc", "mki"])


def hall(style: str, cohorts: int = 3, listeners: int = 4, **fields: object) -> tuple[Room, list[list[Phone]]]:
    """A talker in cohort 0 and as many listeners in each."""
    room = Room()
    room.create(style, **fields)  # type: ignore[arg-type]
    for cohort in range(1, cohorts):
        room.prepare(cohort=cohort)
        room.activate(cohort=cohort)
    room.join("ann", tone(437.0))
    ears = [[room.join(f"ear{c}.{n}", cohort=c) for n in range(listeners)] for c in range(cohorts)]
    room.run(200)
    return room, ears


@styles
def test_each_hears_under_its_cohorts_key(style: str) -> None:
    room, ears = hall(style)
    for cohort, some in enumerate(ears):
        name = room.halls["c"].named(cohort, 1)
        assert {heard.key for ear in some for heard in ear.heard} == {name}
        assert not any(ear.refused for ear in some)
        assert all(np.abs(ear.audio(100).astype(int)).max() > 2500 for ear in some)
    assert len({ear.heard[-1].packet.ssrc for some in ears for ear in some}) == 3
    assert len({ear.heard[-1].packet.payload for some in ears for ear in some}) == 1


@styles
def test_encode_once_encrypt_once_a_cohort(style: str) -> None:
    """I8."""
    room, _ = hall(style)
    counters = room.engine.counters
    before = counters.encodes, counters.common_encodes, counters.encrypts, counters.common_encrypts
    room.run(200)
    after = counters.encodes, counters.common_encodes, counters.encrypts, counters.common_encrypts
    assert [b - a for a, b in zip(before, after, strict=True)] == [20, 10, 40, 30]


@styles
def test_a_key_opens_its_cohorts_packets_only(style: str) -> None:
    room, ears = hall(style)
    for cohort, some in enumerate(ears):
        open_to_it = readable(room.sent, room.halls["c"].lines[cohort].values())
        mine = {ear.address for ear in some}
        assert {sent.address for sent in open_to_it} - {room.phones["ann"].address} == mine


@styles
def test_a_rekey_concerns_one_cohort(style: str) -> None:
    room, ears = hall(style)
    room.prepare(cohort=1)
    room.activate(cohort=1)
    room.run(200)
    assert {ear.heard[-1].key for ear in ears[1]} == {"c.1/2"}
    (event,) = room.named(KeySwitched)[2:]
    assert (event.cohort, event.epoch, {stream.cohort for stream in event.streams}) == (1, 2, {1})
    for ear in [*ears[0], *ears[2]]:
        seqs = [heard.packet.seq for heard in ear.heard]
        assert {b - a & 0xFFFF for a, b in itertools.pairwise(seqs)} == {1}
        assert len({heard.key for heard in ear.heard}) == 1
    assert [(c.cohort, c.epoch) for c in room.show().cohorts] == [(0, 1), (1, 2), (2, 1)]


@styles
def test_a_leave_bridges_its_cohort_only(style: str) -> None:
    room, _ = hall(style)
    room.leave("ear1.0", bridge=True)
    room.run(40)
    assert [(c.cohort, c.legs, c.bridged) for c in room.show().cohorts] == [(0, 5, 0), (1, 3, 3), (2, 4, 0)]


@pytest.mark.parametrize("clock", [8000, 16000])
def test_the_leading_stream_leaves(clock: int) -> None:
    """Cohort 0's packet is copied for all; when its legs are gone the others go on without a click."""
    room = Room()
    room.create("mki", rate=8000)
    room.prepare(cohort=1)
    room.activate(cohort=1)
    room.join("ann", tone(437.0), cohort=1, ptime=20)
    fields = {"codec": "L16", "clock": clock}
    room.join("first", **fields)  # type: ignore[arg-type]
    ear = room.join("second", cohort=1, **fields)  # type: ignore[arg-type]
    room.run(400)
    room.leave("first")
    room.run(400)
    assert not ear.refused
    sound = ear.audio()[clock // 10 :].astype(np.float64)
    steps = np.abs(np.diff(sound))
    # The steepest step of a 437 Hz sine of 3000 is 2 pi f A / rate; a click would be steeper.
    assert steps.max() < 1.1 * 2 * np.pi * 437 * 3000 / clock
    assert np.abs(sound).max() > 2500


@styles
def test_epochs_rise_in_each_cohort(style: str) -> None:
    """I7: what one cohort has seen says nothing of another."""
    room, _ = hall(style, cohorts=2)
    for _ in range(3):
        room.prepare(cohort=1)
        room.activate(cohort=1)
    room.prepare(cohort=0)
    room.activate(cohort=0)
    assert [(c.cohort, c.epoch) for c in room.show().cohorts] == [(0, 2), (1, 4)]


def test_mkis_differ_over_all_cohorts() -> None:
    room, _ = hall("mki")
    taken = room.halls["c"].lines[2][1].mki
    with pytest.raises(PortError) as caught:
        room.apply(KeyPrepare(conference="c", cohort=1, key=room.key("x", mki=taken, epoch=9)))
    assert caught.value.refusal == Refusal.INVALID


# -- limits of a key --------------------------------------------------------------------------


def limited(style: str, **limits: object) -> tuple[Room, Phone, Phone]:
    """A cohort whose second epoch has limits: one leg with a key of its own, one without."""
    room = Room()
    room.create(style)
    mki = 2 if style == "mki" else 0
    room.join("ann", tone(437.0), tx=room.key("tx:ann", mki=room.mki(mki)))
    own = room.join("own", tx=room.key("tx:own", mki=room.mki(mki)))
    bare = room.join("bare", direction="recvonly", rx=room.key("rx"), tx=None)
    hall = room.halls["c"]
    key = room.key("c/2", mki=room.mki(hall.mki_width), epoch=2)
    hall.epochs[2] = key
    room.apply(KeyPrepare(conference="c", key=msgspec.structs.replace(key, **limits)))
    for name in ("ann", "own", "bare"):
        room.tell(name)
    room.apply(KeyActivate(conference="c", epoch=2))
    hall.current[0] = 2
    return room, own, bare


@styles
@pytest.mark.parametrize(
    ("limits", "soft", "hard"),
    [({"max_age_s": 4.0}, 100, 200), ({"max_packets": 300}, 150, 300)],
    ids=["age", "packets"],
)
def test_a_key_fails_closed_at_its_limit(style: str, limits: dict[str, object], soft: int, hard: int) -> None:
    """Soft: an event. Hard: not one packet more under it; own keys, or silence where there is none."""
    room, own, bare = limited(style, **limits)
    room.run((soft - 1) * 20 - 1000)
    assert not room.named(KeyExpiring)
    room.run(2000)
    (warning,) = room.named(KeyExpiring)
    assert (warning.epoch, warning.cohort) == (2, 0)
    room.run((hard + 50) * 20 - room.engine.frame * 20)
    (expired,) = room.named(KeyExpired)
    assert (expired.epoch, expired.silenced) == (2, 1)
    for phone in (own, bare):
        assert not phone.refused
        assert len([heard for heard in phone.heard if heard.key == "c/2"]) == hard
    assert len(bare.heard) == hard
    assert own.heard[-1].key == "tx:own"
    assert len(own.heard) == room.engine.frame
    room.sent.clear()
    room.run(500)
    assert readable(room.sent, room.halls["c"].epochs.values()) == []
    room.prepare()
    room.activate()
    room.run(100)
    assert own.heard[-1].key == bare.heard[-1].key == "c/3"


def test_the_mixers_own_hard_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """Style ssrc: fresh SSRCs do not make a key younger."""
    start_at(monkeypatch, 65_500)
    room = Room(soft_epoch_packets=50, hard_epoch_packets=100)
    room.create("ssrc")
    bare = room.join("bare", direction="recvonly", rx=room.key("rx"))
    room.run(3000)
    assert len(bare.heard) == 100
    assert len({heard.packet.ssrc for heard in bare.heard}) == 3
    assert max(heard.packet.seq for heard in bare.heard) == 65_535
    assert [event.epoch for event in room.named(KeyExpired)] == [1]


@pytest.mark.parametrize("ptime", [10, 20, 40])
@pytest.mark.parametrize("listens", [False, True])
def test_nothing_more_than_its_limit_is_sent_under_a_key(listens: bool, ptime: int) -> None:
    """Style ssrc: also if nobody hears the common mix, for all talk; and two packets of 10 ms leave in one tick."""
    room = Room()
    room.create("ssrc", first_key=False)
    room.halls["c"].epochs[1] = key = msgspec.structs.replace(room.key("c/1"), max_packets=25)
    room.halls["c"].current[0] = 1
    room.apply(KeyPrepare(conference="c", key=key))
    room.apply(KeyActivate(conference="c", epoch=1))
    talkers = [room.join(f"t{n}", tone(437.0 + 100 * n), ptime=ptime) for n in range(2)]
    if listens:
        talkers.append(room.join("ear", ptime=ptime))
    room.run(2000)
    assert len(room.named(KeyExpired)) == 1
    for phone in talkers:
        each: dict[int, int] = {}
        for heard in phone.heard:
            each[heard.packet.ssrc] = each.get(heard.packet.ssrc, 0) + 1
        assert max(each.values()) <= 25
        assert sum(each.values()) >= 24
