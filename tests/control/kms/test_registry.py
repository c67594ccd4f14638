"""Who may have which key. The machine below knows the rules a second time, and says them otherwise."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from control.kms.errors import NOT_YOURS, KmsError, Refusal
from control.kms.floors import MemoryFloors
from control.kms.messages import EpochCreate, EpochFetch, EpochForget, Kind
from control.kms.registry import KEPT, SECRET_OCTETS, Bounds, Registry
from mixer.suites import SUITES, SuiteName
from tests.control.kms.conftest import World

GCM_256: SuiteName = "AEAD_AES_256_GCM"


def create(epoch: int, cohort: int = 0, conference: str = "room", **more: Any) -> EpochCreate:
    return EpochCreate(conference=conference, cohort=cohort, epoch=epoch, **more)


def fetch(epoch: int, cohort: int = 0, conference: str = "room") -> EpochFetch:
    return EpochFetch(conference=conference, cohort=cohort, epoch=epoch)


def forget(epoch: int, cohort: int = 0) -> EpochForget:
    return EpochForget(conference="room", cohort=cohort, epoch=epoch)


@pytest.fixture
def registry(world: World) -> Registry:
    world.service.registry.register("focus", "room", ["alice"])
    return world.service.registry


def test_a_member_gets_the_very_key_that_the_owner_got(registry: Registry, world: World) -> None:
    made = registry.create("focus", create(1), 0.0)
    assert registry.fetch(["alice"], fetch(1), 1.0).secret == made.secret
    assert made.secret.reveal() == world.made[-1]
    assert len(made.secret) == SECRET_OCTETS


@pytest.mark.parametrize("suite", SUITES)
def test_a_key_for_those_that_can_only_take_one_fits_its_suite(registry: Registry, suite: SuiteName) -> None:
    assert len(registry.create("focus", create(1, suite=suite, kind="key"), 0.0).secret) == SUITES[suite].secret


def test_asking_again_gets_the_same_key_and_makes_none(registry: Registry, world: World) -> None:
    first = registry.create("focus", create(7), 0.0)
    assert registry.create("focus", create(7), 5.0) is first
    registry.create("focus", create(9), 6.0)
    assert registry.create("focus", create(7), 7.0) is first, "the one before is still kept"
    assert len(world.made) == registry.epochs_made == 2


@pytest.mark.parametrize("more", [{"suite": GCM_256}, {"kind": "key"}])
def test_the_same_epoch_otherwise_is_refused(registry: Registry, more: dict[str, Any], world: World) -> None:
    registry.create("focus", create(1), 0.0)
    with pytest.raises(KmsError, match="another suite or kind") as refused:
        registry.create("focus", create(1, **more), 0.0)
    assert refused.value.refusal is Refusal.BAD_EPOCH
    assert len(world.made) == 1


def test_epochs_never_go_back(registry: Registry) -> None:
    for epoch in (5, 6, 9):
        registry.create("focus", create(epoch), 0.0)
    for epoch in (1, 5, 7, 8):
        with pytest.raises(KmsError, match="up to 9") as refused:
            registry.create("focus", create(epoch), 0.0)
        assert refused.value.refusal is Refusal.BAD_EPOCH
    assert registry.create("focus", create(1, cohort=1), 0.0), "cohorts have nothing to do with each other"


def test_a_closed_conference_makes_no_epoch_again(registry: Registry) -> None:
    registry.create("focus", create(3), 0.0)
    registry.close("focus", "room")
    registry.register("other", "room", [])
    with pytest.raises(KmsError) as refused:
        registry.create("other", create(3), 0.0)
    assert refused.value.refusal is Refusal.BAD_EPOCH
    assert registry.create("other", create(4), 0.0)


def test_old_keys_are_wiped(registry: Registry) -> None:
    held = [registry.create("focus", create(epoch), 0.0) for epoch in (1, 2, 3)]
    assert [len(one.secret) for one in held] == [0, SECRET_OCTETS, SECRET_OCTETS]
    registry.forget("focus", forget(2))
    assert len(held[1].secret) == 0
    with pytest.raises(KmsError) as refused:
        registry.forget("focus", forget(2))
    assert refused.value.refusal is Refusal.UNKNOWN_EPOCH
    registry.sweep(599.9)
    assert len(held[2].secret) == SECRET_OCTETS
    registry.sweep(600.0)
    assert len(held[2].secret) == 0
    assert registry.epochs_kept == 0


@pytest.mark.parametrize("end", ["close", "wipe"])
def test_the_end_wipes_everything(registry: Registry, end: str) -> None:
    held = registry.create("focus", create(1), 0.0)
    if end == "close":
        registry.close("focus", "room")
    else:
        registry.wipe()
    assert len(held.secret) == 0
    assert len(registry) == 0


def test_an_expired_key_is_given_to_nobody(registry: Registry) -> None:
    registry.create("focus", create(1), 0.0)
    with pytest.raises(KmsError):
        registry.fetch(["alice"], fetch(1), 600.0)
    with pytest.raises(KmsError):
        registry.create("focus", create(1), 600.0)


def test_a_member_has_no_past_and_no_future(registry: Registry) -> None:
    """Invariant I4."""
    registry.create("focus", create(1), 0.0)
    registry.admit("focus", "room", "bob")
    registry.create("focus", create(2), 0.0)
    assert registry.fetch(["bob"], fetch(2), 0.0)
    with pytest.raises(KmsError):
        registry.fetch(["bob"], fetch(1), 0.0)
    registry.expel("focus", "room", "bob")
    for epoch in (1, 2):
        with pytest.raises(KmsError):
            registry.fetch(["bob"], fetch(epoch), 0.0)
    registry.create("focus", create(3), 0.0)
    registry.admit("focus", "room", "bob")
    for epoch in (2, 3):
        with pytest.raises(KmsError):
            registry.fetch(["bob"], fetch(epoch), 0.0)
    registry.create("focus", create(4), 0.0)
    assert registry.fetch(["bob"], fetch(4), 0.0)


def test_admitting_a_member_again_gives_and_takes_nothing(registry: Registry) -> None:
    registry.create("focus", create(1), 0.0)
    registry.admit("focus", "room", "alice")
    assert registry.fetch(["alice"], fetch(1), 0.0)


def test_another_conference_system_may_do_nothing(registry: Registry) -> None:
    registry.create("focus", create(1), 0.0)
    for attempt in (
        lambda name: registry.register("other", name, []),
        lambda name: registry.close("other", name),
        lambda name: registry.admit("other", name, "eve"),
        lambda name: registry.expel("other", name, "alice"),
        lambda name: registry.create("other", create(1, conference=name), 0.0),
        lambda name: registry.create("other", create(2, conference=name), 0.0),
        lambda name: registry.forget("other", EpochForget(conference=name, epoch=1)),
    ):
        with pytest.raises(KmsError) as refused:
            attempt("room")
        assert refused.value.refusal is Refusal.NOT_AUTHORISED
        assert str(refused.value) == NOT_YOURS
    assert registry.fetch(["alice"], fetch(1), 0.0)
    assert registry.owner("room") == "focus"
    assert not registry.is_member(["eve"], "room")


def test_a_generator_that_gives_zeros_makes_no_key() -> None:
    registry = Registry(MemoryFloors(), fresh=bytes)
    registry.register("focus", "room", [])
    with pytest.raises(RuntimeError, match="generator"):
        registry.create("focus", create(1), 0.0)


def test_a_generator_that_repeats_itself_makes_no_second_key() -> None:
    registry = Registry(MemoryFloors(), fresh=lambda length: bytes(range(length)))
    registry.register("focus", "room", [])
    registry.create("focus", create(1), 0.0)
    with pytest.raises(RuntimeError, match="generator"):
        registry.create("focus", create(2), 0.0)


def test_there_is_an_end_to_everything(world: World) -> None:
    registry = Registry(world.floors, Bounds(conferences=1, members=2, cohorts=1))
    registry.register("focus", "room", ["a", "a", "b"])
    for attempt in (
        lambda: registry.register("focus", "attic", []),
        lambda: registry.admit("focus", "room", "c"),
        lambda: registry.create("focus", create(1, cohort=0), 0.0) and registry.create("focus", create(1, 1), 0.0),
    ):
        with pytest.raises(KmsError) as refused:
            attempt()
        assert refused.value.refusal is Refusal.LIMIT
    with pytest.raises(KmsError) as twice:
        registry.register("focus", "room", [])
    assert twice.value.refusal is Refusal.DUPLICATE_CONFERENCE
    with pytest.raises(KmsError) as nobody:
        registry.expel("focus", "room", "c")
    assert nobody.value.refusal is Refusal.UNKNOWN_MEMBER


def test_an_epoch_that_cannot_be_remembered_has_no_key(world: World) -> None:
    class Full(MemoryFloors):
        def raise_to(self, conference: str, cohort: int, epoch: int) -> None:
            raise OSError("no space left")

    registry = Registry(Full(), fresh=world.fresh)
    registry.register("focus", "room", [])
    with pytest.raises(OSError, match="no space"):
        registry.create("focus", create(1), 0.0)
    assert not world.made
    assert registry.epochs_kept == 0


SYSTEMS = ("focus", "other")
ROOMS = ("room", "attic")
MEMBERS = ("alice", "bob", "carol")
KINDS: tuple[Kind, ...] = ("secret", "key")


class Rules(RuleBasedStateMachine):
    """Any schedule of requests, with restarts, against a history that is never shortened."""

    def __init__(self) -> None:
        super().__init__()
        self.world = World().open()
        self.owner: dict[str, str] = {}
        self.since: dict[tuple[str, str], int] = {}
        """When each member was admitted."""
        self.keys: dict[tuple[str, int, int], bytes] = {}
        """Every key that ever came out, by conference, cohort and epoch."""
        self.when: dict[tuple[str, int, int], int] = {}
        self.time = 0

    @property
    def registry(self) -> Registry:
        return self.world.service.registry

    @rule(system=st.sampled_from(SYSTEMS), room=st.sampled_from(ROOMS), members=st.sets(st.sampled_from(MEMBERS)))
    def register(self, system: str, room: str, members: set[str]) -> None:
        self.time += 1
        try:
            self.registry.register(system, room, members)
        except KmsError:
            assert room in self.owner
            return
        assert room not in self.owner
        self.owner[room] = system
        self.since |= {(room, member): self.time for member in members}

    @rule(system=st.sampled_from(SYSTEMS), room=st.sampled_from(ROOMS))
    def close(self, system: str, room: str) -> None:
        if self._allowed(lambda: self.registry.close(system, room), self.owner.get(room) == system):
            del self.owner[room]
            self._leave(lambda place: place != room)

    @rule(system=st.sampled_from(SYSTEMS), room=st.sampled_from(ROOMS), member=st.sampled_from(MEMBERS))
    def admit(self, system: str, room: str, member: str) -> None:
        self.time += 1
        if self._allowed(lambda: self.registry.admit(system, room, member), self.owner.get(room) == system):
            self.since.setdefault((room, member), self.time)

    @rule(system=st.sampled_from(SYSTEMS), room=st.sampled_from(ROOMS), member=st.sampled_from(MEMBERS))
    def expel(self, system: str, room: str, member: str) -> None:
        may = self.owner.get(room) == system and (room, member) in self.since
        if self._allowed(lambda: self.registry.expel(system, room, member), may):
            del self.since[room, member]

    @rule(
        system=st.sampled_from(SYSTEMS),
        room=st.sampled_from(ROOMS),
        cohort=st.integers(0, 1),
        epoch=st.integers(1, 12),
        kind=st.sampled_from(KINDS),
    )
    def create(self, system: str, room: str, cohort: int, epoch: int, kind: Kind) -> None:
        self.time += 1
        place = (room, cohort, epoch)
        highest = max((e for r, c, e in self.keys if (r, c) == (room, cohort)), default=0)
        try:
            held = self.registry.create(system, create(epoch, cohort, room, kind=kind), 0.0)
        except KmsError:
            assert self.owner.get(room) != system or epoch <= highest
            return
        assert self.owner[room] == system
        octets = held.secret.reveal()
        assert self.keys.setdefault(place, octets) == octets, "an epoch was made twice"
        self.when.setdefault(place, self.time)
        assert epoch > highest or place in self.keys

    @rule(room=st.sampled_from(ROOMS), member=st.sampled_from(MEMBERS), cohort=st.integers(0, 1), data=st.data())
    def fetch(self, room: str, member: str, cohort: int, data: st.DataObject) -> None:
        made = [e for r, c, e in self.keys if (r, c) == (room, cohort)]
        epoch = data.draw(st.sampled_from([*made, 1]))
        place = (room, cohort, epoch)
        try:
            held = self.registry.fetch([member], fetch(epoch, cohort, room), 0.0)
        except KmsError:
            newest = epoch in sorted(made)[-1:] and place in self.when
            entitled = (room, member) in self.since and self.since[room, member] < self.when.get(place, 0)
            assert not (newest and entitled and self._lives(place))
            return
        assert self.since[room, member] < self.when[place], "a key from before the admission"
        assert held.secret.reveal() == self.keys[place]

    @rule()
    def restart(self) -> None:
        """Everything but the floors is gone."""
        floors, made = self.world.floors, self.world.made
        self.world = World(floors=floors, made=made).open()
        self.owner.clear()
        self.since.clear()
        self._gone = set(self.keys)

    @invariant()
    def every_key_is_fresh(self) -> None:
        """Invariant I9: each is what the generator gave, and no two are alike."""
        assert sorted(self.keys.values()) == sorted(self.world.made)
        assert len(set(self.world.made)) == len(self.world.made)

    @invariant()
    def few_are_kept(self) -> None:
        assert self.registry.epochs_kept <= KEPT * 2 * len(ROOMS)

    _gone: frozenset[tuple[str, int, int]] | set[tuple[str, int, int]] = frozenset()

    def _lives(self, place: tuple[str, int, int]) -> bool:
        return place not in self._gone

    def _leave(self, stays: Any) -> None:
        self.since = {(room, member): time for (room, member), time in self.since.items() if stays(room)}
        self._gone = self._gone | {place for place in self.keys if not stays(place[0])}

    def _allowed(self, attempt: Any, may: bool) -> bool:
        try:
            attempt()
        except KmsError:
            assert not may
            return False
        assert may
        return True


TestRules = Rules.TestCase
TestRules.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
