"""A model of a mixer: for every leg its cohort and whether it is on its own key, for every cohort its keys.

It does what it is told, and asserts what a mixer would refuse (invariants I5 and I7).
"""

from __future__ import annotations

from dataclasses import dataclass, field

from control.rekey.epochs import generation_of, step_of


@dataclass(slots=True)
class Leg:
    """A leg."""

    cohort: int
    bridged: bool = True


@dataclass(slots=True)
class CohortKeys:
    """What is held for a cohort."""

    active: int | None = None
    prepared: set[int] = field(default_factory=set)
    highest: int = 0
    """That ever was active."""
    asked: int | None = None
    """The KMS has been asked for it."""

    def generations(self) -> set[int]:
        """Of all keys that are in use or may come into use."""
        return {generation_of(epoch) for epoch in [*self.prepared, self.active] if epoch}


class ModelMixer:
    """Legs and keys."""

    def __init__(self) -> None:
        self.legs: dict[str, Leg] = {}
        self.keys: dict[int, CohortKeys] = {}
        self.aborted: set[int] = set()
        self.highest_obtained = 0

    def restart(self, *, empty: bool) -> None:
        """Come back empty, or forget all group keys as a focus that has restarted says."""
        if empty:
            self.legs.clear()
            self.keys.clear()
        for leg in self.legs.values():
            leg.bridged = True
        for keys in self.keys.values():
            keys.prepared.clear()
            keys.active = keys.asked = None

    def add(self, name: str, cohort: int, bridged: bool) -> None:
        keys = self.keys.setdefault(cohort, CohortKeys())
        assert bridged or keys.active, "a leg that is not bridged needs a key"
        self.legs[name] = Leg(cohort, bridged)

    def remove(self, name: str, bridge: bool) -> None:
        leg = self.legs.pop(name)
        if bridge:
            self.bridge_all(leg.cohort)

    def bridge_all(self, cohort: int) -> None:
        for leg in self.legs.values():
            if leg.cohort == cohort:
                leg.bridged = True

    def bridge(self, cohort: int, names: tuple[str, ...], on: bool) -> None:
        for name in names:
            assert self.legs[name].cohort == cohort
            assert self.legs[name].bridged is not on, "a bridge that changes nothing"
            self.legs[name].bridged = on

    def ask(self, cohort: int, epoch: int) -> None:
        """A key is on its way from the KMS."""
        keys = self.keys[cohort]
        assert step_of(epoch) == 0
        assert generation_of(epoch) > self.highest_obtained, "I7: a generation twice"
        assert keys.asked is None, "I13: a backlog of epochs"
        assert not keys.prepared, "I13: a backlog of epochs"
        self.highest_obtained, keys.asked = generation_of(epoch), epoch

    def prepare(self, cohort: int, epoch: int, *, made: bool) -> None:
        keys = self.keys[cohort]
        keys.asked = None if keys.asked == epoch else keys.asked
        if made:
            keys.prepared.add(epoch)

    def switch(self, cohort: int, epoch: int) -> bool:
        """False if it was a step of a key that has been replaced since."""
        keys = self.keys[cohort]
        if step_of(epoch) and keys.active != epoch - 1:
            return False
        assert epoch not in self.aborted, "I7: an aborted epoch is used"
        if step_of(epoch) == 0:
            assert epoch in keys.prepared, "I7: activated before it was there"
            keys.prepared.discard(epoch)
        assert epoch > keys.highest, "I7: epochs rise"
        keys.active = keys.highest = epoch
        return True

    def abort(self, cohort: int, epoch: int) -> None:
        keys = self.keys[cohort]
        self.aborted.add(epoch)
        keys.asked = None if keys.asked == epoch else keys.asked
        keys.prepared.discard(epoch)
        if keys.active == epoch:  # its activation was not answered
            self.retire(cohort, epoch)

    def retire(self, cohort: int, epoch: int) -> None:
        keys = self.keys[cohort]
        assert keys.active is None or generation_of(keys.active) == generation_of(epoch)
        assert all(leg.bridged for leg in self.legs.values() if leg.cohort == cohort), "I5: a key taken away in use"
        keys.active = None

    def heard_by(self, name: str) -> int | None:
        """The epoch of the next packet to a leg; None for its own key."""
        leg = self.legs[name]
        return None if leg.bridged else self.keys[leg.cohort].active
