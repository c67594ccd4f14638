"""Conferences, their owners and members, and their epochs: who may have which key.

Knows: the rules. Must never know: sockets, files, clocks; time is an argument, in seconds of any clock
that does not run backwards.

- A conference belongs to the conference system that registered it; no other learns that it exists.
- A member gets an epoch only while it is a member, and only if the epoch was made after its latest
  admission (invariant I4): neither the past, nor what comes after it was expelled.
- Epochs of a conference and cohort increase strictly. None is made twice with another key: `Floors`
  outlives this process. Asking again for one that is kept gets the very same key.
- Every key is made of fresh random octets, and of nothing else (invariant I9).
- The newest two epochs of a cohort are kept, each for a bounded time; what is dropped is wiped.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Final, Protocol

from control.kms.errors import KmsError, Refusal, not_yours
from control.kms.messages import EpochCreate, EpochFetch, EpochForget
from mixer.secret import Secret
from mixer.suites import SUITES

SECRET_OCTETS: Final = 32
"""Of an epoch secret, from which SRTP keys of any suite are derived."""
KEPT: Final = 2
"""Epochs of a cohort whose keys are kept: the one in use and the one being handed out."""


class Floors(Protocol):
    """The highest epoch ever made in each conference and cohort."""

    def highest(self, conference: str, cohort: int) -> int:
        """That epoch; 0 if there was none."""
        ...

    def raise_to(self, conference: str, cohort: int, epoch: int) -> None:
        """Remember one, for good, before this returns. Raises OSError if that cannot be done."""
        ...


@dataclass(frozen=True, slots=True)
class Bounds:
    """How much there may be of everything."""

    conferences: int = 4096
    members: int = 65_536
    """Of one conference."""
    cohorts: int = 1024
    """Of one conference."""
    lifetime_s: float = 600.0
    """A key is wiped so long after it was made."""


@dataclass(slots=True)
class Held:
    """A key that is kept."""

    request: EpochCreate
    secret: Secret
    order: int
    """Where it stands among the admissions and epochs of its conference."""
    expires_at: float


@dataclass(slots=True)
class _Conference:
    owner: str
    members: dict[str, int] = field(default_factory=dict)
    """Each with where its admission stands among the admissions and epochs."""
    cohorts: dict[int, dict[int, Held]] = field(default_factory=dict)
    """Kept epochs, oldest first."""
    happened: int = 0
    """Admissions and epochs so far."""

    def next(self) -> int:
        self.happened += 1
        return self.happened


class Registry:
    """All that the KMS knows of conferences."""

    def __init__(
        self, floors: Floors, bounds: Bounds | None = None, fresh: Callable[[int], bytes] = secrets.token_bytes
    ) -> None:
        """`fresh` gives so many random octets."""
        self._floors = floors
        self._bounds = bounds or Bounds()
        self._fresh = fresh
        self._conferences: dict[str, _Conference] = {}
        self.epochs_made = 0

    def __len__(self) -> int:
        return len(self._conferences)

    @property
    def epochs_kept(self) -> int:
        return sum(len(kept) for room in self._conferences.values() for kept in room.cohorts.values())

    def owner(self, conference: str) -> str | None:
        """The conference system that registered it; None if nobody did."""
        room = self._conferences.get(conference)
        return room.owner if room else None

    def is_member(self, identities: Iterable[str], conference: str) -> bool:
        """True if one of these is a member now."""
        room = self._conferences.get(conference)
        return room is not None and any(identity in room.members for identity in identities)

    def register(self, owner: str, conference: str, members: Iterable[str]) -> None:
        """Take a conference on. Raises KmsError: not_authorised, duplicate_conference, limit."""
        known = self._conferences.get(conference)
        if known is not None and known.owner != owner:
            raise not_yours("registered by another conference system")
        if known is not None:
            raise KmsError(Refusal.DUPLICATE_CONFERENCE, f"{conference} is registered already; close it first")
        if len(self._conferences) >= self._bounds.conferences:
            raise KmsError(Refusal.LIMIT, f"{self._bounds.conferences} conferences are registered; close one")
        admitted = tuple(dict.fromkeys(members))
        self._check_room_for(len(admitted))
        room = _Conference(owner)
        for member in admitted:
            room.members[member] = room.next()
        self._conferences[conference] = room

    def close(self, owner: str, conference: str) -> None:
        """Wipe its keys and forget it. Raises KmsError: not_authorised."""
        room = self._owned(owner, conference)
        for kept in room.cohorts.values():
            _wipe(kept, list(kept))
        del self._conferences[conference]

    def admit(self, owner: str, conference: str, member: str) -> None:
        """Make somebody a member from now on. Raises KmsError: not_authorised, limit."""
        room = self._owned(owner, conference)
        if member not in room.members:
            self._check_room_for(len(room.members) + 1)
            room.members[member] = room.next()

    def expel(self, owner: str, conference: str, member: str) -> None:
        """Make somebody a member no more. Raises KmsError: not_authorised, unknown_member."""
        room = self._owned(owner, conference)
        if room.members.pop(member, None) is None:
            raise KmsError(Refusal.UNKNOWN_MEMBER, f"{conference} has no member of that name")

    def create(self, owner: str, request: EpochCreate, now: float) -> Held:
        """Make a key, or give the same one again. Raises KmsError: not_authorised, bad_epoch, limit.

        OSError, if the epoch cannot be remembered; there is no key then.
        """
        room = self._owned(owner, request.conference)
        self._expire(room, now)
        kept = room.cohorts.get(request.cohort, {})
        held = kept.get(request.epoch)
        if held is not None and held.request == request:
            return held
        if held is not None:
            text = f"epoch {request.epoch} was made with another suite or kind; make a higher one"
            raise KmsError(Refusal.BAD_EPOCH, text)
        highest = self._floors.highest(request.conference, request.cohort)
        if request.epoch <= highest:
            text = f"epochs up to {highest} were made before, and are never made again; make a higher one"
            raise KmsError(Refusal.BAD_EPOCH, text, highest=highest)
        if request.cohort not in room.cohorts and len(room.cohorts) >= self._bounds.cohorts:
            raise KmsError(Refusal.LIMIT, f"{request.conference} has {self._bounds.cohorts} cohorts already")
        self._floors.raise_to(request.conference, request.cohort, request.epoch)
        held = Held(request, self._fresh_secret(request, room), room.next(), now + self._bounds.lifetime_s)
        kept = room.cohorts.setdefault(request.cohort, {})
        kept[request.epoch] = held
        _wipe(kept, list(kept)[:-KEPT])
        self.epochs_made += 1
        return held

    def fetch(self, identities: Iterable[str], request: EpochFetch, now: float) -> Held:
        """The key of an epoch, for a member. Raises KmsError: not_authorised, and never says why."""
        room = self._conferences.get(request.conference)
        if room is None:
            raise not_yours("no such conference")
        admissions = [room.members[identity] for identity in identities if identity in room.members]
        if not admissions:
            raise not_yours("not a member")
        self._expire(room, now)
        held = room.cohorts.get(request.cohort, {}).get(request.epoch)
        if held is None:
            raise not_yours("no such epoch is kept")
        if held.order < min(admissions):
            raise not_yours("made before the admission")
        return held

    def forget(self, owner: str, request: EpochForget) -> None:
        """Wipe a key. Raises KmsError: not_authorised, unknown_epoch."""
        kept = self._owned(owner, request.conference).cohorts.get(request.cohort, {})
        if request.epoch not in kept:
            raise KmsError(Refusal.UNKNOWN_EPOCH, f"the key of epoch {request.epoch} is not kept")
        _wipe(kept, [request.epoch])

    def sweep(self, now: float) -> None:
        """Wipe all keys whose time is over."""
        for room in self._conferences.values():
            self._expire(room, now)

    def wipe(self) -> None:
        """Wipe all keys and forget all conferences."""
        for room in self._conferences.values():
            for kept in room.cohorts.values():
                _wipe(kept, list(kept))
        self._conferences.clear()

    def check_owner(self, owner: str, conference: str) -> None:
        """Raise KmsError (not_authorised) unless the conference is of this owner."""
        self._owned(owner, conference)

    def _owned(self, owner: str, conference: str) -> _Conference:
        room = self._conferences.get(conference)
        if room is None:
            raise not_yours("no such conference")
        if room.owner != owner:
            raise not_yours("registered by another conference system")
        return room

    def _expire(self, room: _Conference, now: float) -> None:
        for kept in room.cohorts.values():
            _wipe(kept, [epoch for epoch, held in kept.items() if held.expires_at <= now])

    def _check_room_for(self, members: int) -> None:
        if members > self._bounds.members:
            raise KmsError(Refusal.LIMIT, f"a conference has at most {self._bounds.members} members")

    def _fresh_secret(self, request: EpochCreate, room: _Conference) -> Secret:
        length = SECRET_OCTETS if request.kind == "secret" else SUITES[request.suite].secret
        secret = Secret(self._fresh(length))
        known = [held.secret for kept in room.cohorts.values() for held in kept.values()]
        # A generator that repeats itself is broken, and a key made with it is worse than none.
        if len(secret) != length or secret.is_trivial() or secret in known:
            raise RuntimeError("the random generator of this system repeats itself")
        return secret


def _wipe(kept: dict[int, Held], epochs: Iterable[int]) -> None:
    for epoch in epochs:
        kept.pop(epoch).secret.wipe()
