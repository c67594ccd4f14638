"""Any conference: people come, change and go, subscribers too, NOTIFYs are lost; and who has had quiet knows all."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable
from dataclasses import replace

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from control.roster import tidy
from control.roster.people import Conference, Endpoint, User
from control.roster.reader import Outcome, Picture
from control.roster.state import Roster
from control.roster.subscriptions import Notice, Subscriptions
from control.roster.views import Sight, Viewer
from tests.control.roster.people import BRIDGE, NAMES, users
from tests.control.roster.schema import check

CALLERS = st.sampled_from(["ann", "ben", "cyd"])
COUNTED = ("connected", "on-hold", "muted-via-focus", "disconnecting")


class Caller:
    """A subscriber that keeps the rules, and checks that the focus does."""

    def __init__(self, name: Hashable, sight: Sight) -> None:
        self.name, self.sight = name, sight
        self.picture = Picture()
        self.told_at = 0.0
        self.may_come_at_once = True
        self.loses_the_next = False
        self.misses_some = False
        self.ended = False

    def take(self, notice: Notice, now: float) -> bool:
        """One NOTIFY comes, or is lost. Is a refresh needed?"""
        state = check(notice.body).get("state")
        terminated = notice.subscription_state.startswith("terminated")
        assert self.may_come_at_once or terminated or now >= self.told_at + 5
        assert not self.ended
        self.told_at, self.may_come_at_once, self.ended = now, False, terminated
        if self.loses_the_next:
            self.loses_the_next, self.misses_some = False, True
            return False
        before = self._known()
        outcome = self.picture.apply(notice.body)
        assert state != "partial" or outcome is Outcome.GAP or self._known() != before, "no news"
        assert outcome is Outcome.APPLIED or (outcome is Outcome.GAP and state == "partial")
        self.misses_some = self.misses_some and outcome is not Outcome.APPLIED
        return outcome is Outcome.GAP

    def _known(self) -> object:
        return self.picture.conference, self.picture.user_count, dict(self.picture.users)


class Schedules(RuleBasedStateMachine):
    """The model is a dict of users."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.guests: dict[str, User] = {}
        self.conference = BRIDGE
        self.roster = Roster(BRIDGE)
        self.notifier = Subscriptions(self.roster)
        self.callers: dict[Hashable, Caller] = {}

    # -- what may happen ----------------------------------------------------------------------

    @rule(user=users(st.sampled_from(NAMES)))
    def come_or_change(self, user: User) -> None:
        self.guests[user.entity] = tidy.user(user)
        self.roster.put(user)
        self._changed()

    @rule(entity=st.sampled_from(NAMES))
    def leave(self, entity: str) -> None:
        self.guests.pop(entity, None)
        self.roster.remove(entity, "failed")
        self._changed()

    @rule(
        conference=st.builds(
            Conference,
            entity=st.just(BRIDGE.entity),
            subject=st.sampled_from(["Monday", "<Tuesday>"]),
            maximum=st.none() | st.just(3),
            active=st.booleans(),
            locked=st.booleans(),
        )
    )
    def describe(self, conference: Conference) -> None:
        self.conference = conference
        self.roster.describe(self.conference)
        self._changed()

    @rule(name=CALLERS, sight=st.sampled_from(Sight), expires_s=st.sampled_from([0, 4, 30, 3600]))
    def subscribe(self, name: str, sight: Sight, expires_s: int) -> None:
        known = self.callers.get(name)
        if known is None:
            known = self.callers[name] = Caller(name, sight)
        self._subscribe(known, expires_s)

    @rule(name=CALLERS)
    def lose(self, name: str) -> None:
        if name in self.callers:
            self.callers[name].loses_the_next = True

    @rule(name=CALLERS)
    def vanish(self, name: str) -> None:
        self.notifier.failed(name)
        self.callers.pop(name, None)

    @rule(seconds=st.sampled_from([0.5, 4.5, 5.0, 60.0]))
    def sleep(self, seconds: float) -> None:
        until = self.now + seconds
        while (due := self.notifier.due()) is not None and due <= until:
            assert due > self.now
            self.now = due
            self.notifier.advance(self.now)
            self._deliver()
        self.now = until
        self.notifier.advance(self.now)
        assert self.notifier.notices() == []

    # -- what must be so ----------------------------------------------------------------------

    @invariant()
    def who_had_quiet_knows_all(self) -> None:
        for caller in self.callers.values():
            if self.now >= caller.told_at + 5 and not caller.misses_some:
                self._check(caller)

    def _check(self, caller: Caller) -> None:
        picture = caller.picture
        assert picture.conference == self.conference
        assert picture.user_count == sum(map(is_counted, self.guests.values()))
        if caller.sight is Sight.ALL:
            assert picture.users == self.guests
        elif caller.sight is Sight.COUNTS:
            assert picture.users == {}
        else:
            named = {entity: user for entity, user in self.guests.items() if not user.anonymous}
            hidden = [user for entity, user in picture.users.items() if entity not in named]
            assert {entity: picture.users[entity] for entity in named} == named
            masked = [user for user in self.guests.values() if user.anonymous]
            assert Counter(map(unnamed, hidden)) == Counter(map(unnamed, masked))
            assert all(user.entity.endswith("@anonymous.invalid") for user in hidden)

    # -----------------------------------------------------------------------------------------

    def _changed(self) -> None:
        self.notifier.changed(self.now)
        self._deliver()

    def _subscribe(self, caller: Caller, expires_s: int) -> None:
        caller.may_come_at_once = True
        self.notifier.subscribe(caller.name, Viewer("sip:v@x", caller.sight), expires_s=expires_s, now=self.now)
        self._deliver()

    def _deliver(self) -> None:
        for notice in self.notifier.notices():
            caller = self.callers[notice.name]
            needs_refresh = caller.take(notice, self.now)
            if caller.ended:
                del self.callers[notice.name]
            elif needs_refresh:
                self._subscribe(caller, 600)


def is_counted(user: User) -> bool:
    return any(each.status in COUNTED for each in user.endpoints)


def unnamed(user: User) -> User:
    """All of a user that does not say who it is."""
    return replace(user, entity="", display="", endpoints=tuple(map(faceless, user.endpoints)))


def faceless(endpoint: Endpoint) -> Endpoint:
    return replace(endpoint, entity="", display="", disconnection_reason="")


TestSchedules = Schedules.TestCase
TestSchedules.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
