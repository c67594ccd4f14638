"""Group keys of a cohort: what its legs hear under, unless they are bridged."""

from __future__ import annotations

from dataclasses import dataclass

from mixer import wishes
from mixer.conferences import Conference
from mixer.epochs import KeyLine
from mixer.keying import Keying
from mixer.ledger import Ledgers
from mixer.port import Key, PortError, Refusal
from mixer.state import State


@dataclass(frozen=True, slots=True)
class CohortKeys:
    """The keys of one cohort. Every verb raises `PortError`, and then nothing has changed."""

    state: State
    keying: Keying
    ledgers: Ledgers
    conference: Conference
    cohort: int

    def begin(self, key: Key) -> None:
        """The key that a conference begins with: nothing is sent yet, so nothing switches."""
        self.prepare(key)
        self.conference.cohorts[self.cohort].activate(key.epoch, self.state.frame)

    def check(self, key: Key) -> None:
        """May this key be held?"""
        conference = self.conference
        wishes.check_group_key(key, conference.style, conference.shape)
        self.ledgers.check_unused(key.secret)
        if key.mki and (key.mki in conference.own_mkis or key.mki in conference.mkis()):
            raise PortError(Refusal.INVALID, f"MKI {key.mki} names another key of this conference")
        conference.line(self.cohort).check(key)

    def prepare(self, key: Key) -> None:
        """Hold a key for later. One for a cohort that is new begins it."""
        self.check(key)
        self.ledgers.sent.record(key.secret)
        if self.conference.style == "mki":
            self.conference.shape = (key.suite, len(key.mki))
        self.conference.cohorts.setdefault(self.cohort, KeyLine()).prepare(wishes.copy_of(key))

    def activate(self, epoch: int) -> None:
        """Switch all legs that are not bridged, at one packet."""
        self.conference.line(self.cohort).activate(epoch, self.state.frame)
        self.keying.switch(self.conference, self.cohort)

    def retire(self, epoch: int) -> None:
        """Destroy the active key without a successor; the cohort is bridged."""
        self.conference.line(self.cohort).retire(epoch)
        self.keying.unkey(self.conference, self.cohort)
        self.keying.bridge(self.keying.legs_of(self.conference, self.cohort), True)

    def abort(self, epoch: int) -> None:
        """Forget a prepared key."""
        self.conference.line(self.cohort).abort(epoch)
