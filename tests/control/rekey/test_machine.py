"""Random conferences: joins, leaves, evictions, loss, failures and restarts in any order.

The stage asserts I2 (as far as one moment shows it), I3, I4, I6, I7 and the bound on epochs under way
of I13 after every event; here, at the end, that every leave was covered in time.
"""

from __future__ import annotations

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from control.rekey.settings import RekeySettings, Style
from tests.control.rekey.people import Network
from tests.control.rekey.stage import Stage

SETTINGS = [
    RekeySettings(mode="group", cohort_target=4, bridge_max=5, promote_legs=2, promote_s=3.0, epoch_max_age=15.0),
    RekeySettings(mode="group", cohort_target=0, bridge_max=0, promote_legs=1, t_leave_min=0.5, epoch_max_age=30.0),
    RekeySettings(mode="auto", n_group_on=6, n_group_off=4, cohort_target=5, bridge_max=1000, promote_s=1.0),
    RekeySettings(mode="auto", n_group_on=3, n_group_off=3, cohort_target=3, bridge_max=0, closing_leaves=5),
    RekeySettings(mode="group", cohort_target=9, bridge_max=4, t_leave_min=1.0, ack_timeout=0.5),
    RekeySettings(cohort_target=1, n_group_on=2, n_group_off=1),
    RekeySettings(mode="group", cohort_target=4, admission="current", t_leave_min=0.5, epoch_max_age=15.0),
    RekeySettings(mode="auto", n_group_on=4, n_group_off=2, cohort_target=0, admission="current", epoch_max_age=20.0),
]
WAITS = st.sampled_from([0.0, 0.005, 0.02, 0.06, 0.11, 0.3, 1.0, 2.5, 12.0])


class Conference(RuleBasedStateMachine):
    """One conference on a stage."""

    @initialize(
        chosen=st.sampled_from(SETTINGS),
        style=st.sampled_from(["mki", "mki", "ssrc"]),
        kms=st.sampled_from([0.0, 0.01, 0.4, 6.0]),
        mixer=st.sampled_from([0.0, 0.02, 0.3, 6.0]),
        rtt=st.sampled_from([0.01, 0.1, 0.7]),
        seed=st.integers(0, 1 << 16),
    )
    def begin(self, chosen: RekeySettings, style: Style, kms: float, mixer: float, rtt: float, seed: int) -> None:
        self.style = style
        self.stage = Stage(chosen, style=style, network=Network(kms=kms, mixer=mixer, rtt=rtt), seed=seed)
        self.count = 0
        self.offer: tuple[int, int] | None = None

    @rule(count=st.integers(1, 6), ratchets=st.sampled_from([True] * 5 + [False]), wait=WAITS)
    def join(self, count: int, ratchets: bool, wait: float) -> None:
        for _ in range(count):
            self.count += 1
            self.stage.join(f"m{self.count}", ratchets=ratchets)
        self.stage.run(wait)

    @rule(count=st.integers(1, 6), hold=st.booleans(), wait=WAITS)
    def join_by_phone(self, count: int, hold: bool, wait: float) -> None:
        """One key at a time, and if there is one in use, that."""
        for _ in range(count):
            self.count += 1
            holding = self.stage.policy.offered() if hold else None
            self.stage.join(f"m{self.count}", ratchets=False, one_key=True, holding=holding)
        self.stage.run(wait)

    @rule()
    def ask(self) -> None:
        """What a phone is told now may have been replaced when it joins."""
        self.offer = self.stage.policy.offered()

    @precondition(lambda self: self.offer is not None)
    @rule(count=st.integers(1, 6))
    def join_late(self, count: int) -> None:
        for _ in range(count):
            self.count += 1
            self.stage.join(f"m{self.count}", ratchets=False, one_key=True, holding=self.offer)
        self.offer = None

    @precondition(lambda self: self.stage.people)
    @rule(pick=st.integers(0, 1 << 16), evict=st.booleans(), wait=WAITS)
    def leave(self, pick: int, evict: bool, wait: float) -> None:
        names = list(self.stage.people)
        self.stage.leave(names[pick % len(names)], evict=evict)
        self.stage.run(wait)

    @precondition(lambda self: self.stage.gone)
    @rule(pick=st.integers(0, 1 << 16))
    def come_back(self, pick: int) -> None:
        name = self.stage.gone[pick % len(self.stage.gone)].name
        if name not in self.stage.people:
            self.stage.join(name)

    @rule(share=st.floats(0, 1), evict=st.booleans(), wait=WAITS)
    def burst_of_leaves(self, share: float, evict: bool, wait: float) -> None:
        names = list(self.stage.people)
        for name in names[: int(len(names) * share)]:
            self.stage.leave(name, evict=evict)
            self.stage.run(wait / 10)

    @precondition(lambda self: self.stage.people)
    @rule(pick=st.integers(0, 1 << 16), epoch=st.integers(0, 1 << 12) | st.integers(0, (1 << 32) - 1))
    def forge(self, pick: int, epoch: int) -> None:
        """A member says that it has what it was never sent; what it was sent, it may say at any time."""
        names = list(self.stage.people)
        person = self.stage.people[names[pick % len(names)]]
        if person.one_key:
            return  # whoever signals knows what it was told
        if person.sent and pick % 2:
            generation = list(person.sent)[epoch % len(person.sent)]
            epoch = generation << 8 | person.sent[generation] + epoch % 3
        taken = self.stage.ack(person.name, epoch)
        assert not taken or person.can_decrypt(epoch)

    @rule(loss=st.sampled_from([0.0, 0.3, 0.9]))
    def lose(self, loss: float) -> None:
        self.stage.network.loss = loss

    @rule(fails=st.sampled_from([0.0, 0.0, 0.5, 1.0]))
    def kms(self, fails: float) -> None:
        self.stage.network.kms_fails = fails

    @rule(fails=st.sampled_from([0.0, 0.0, 0.5]))
    def mixer(self, fails: float) -> None:
        self.stage.network.mixer_fails = fails

    @rule(mixer=st.booleans())
    def restart(self, mixer: bool) -> None:
        self.stage.restart(mixer=mixer, style=self.style)

    @rule()
    def close(self) -> None:
        self.stage.close()

    @rule(wait=WAITS)
    def wait(self, wait: float) -> None:
        self.stage.run(wait)

    @invariant()
    def the_policy_knows_what_the_mixer_does(self) -> None:
        if not hasattr(self, "stage"):
            return
        facts = self.stage.policy.facts(self.stage.now)
        assert facts.members == len(self.stage.legs) == len(self.stage.people)
        assert facts.bridged == sum(leg.bridged for leg in self.stage.legs.values())
        assert 0 <= facts.laggards <= facts.members

    def teardown(self) -> None:
        """On a sane network all is well again, and every leave was covered in time."""
        if not hasattr(self, "stage"):
            return
        stage = self.stage
        stage.network = Network()
        stage.run(120)
        stage.check_exposures(self.longest(), answers=5.0)
        stage.check_hands()
        facts = stage.policy.facts(stage.now)
        if facts.mode == "group":
            unheard = [name for name in stage.people if stage.epoch_heard_by(name) is None]
            assert len(unheard) <= facts.laggards, "on its own key for no reason"
        else:
            assert all(keys.active is None for keys in stage.keys.values())

    def longest(self) -> float:
        """I2: a rekey under way, at most two evictions that throw it away, and the next one."""
        known, pause = self.stage.settings, self.stage.settings.t_leave_closing
        once = 5.0 + 5.0 + known.ack_timeout + 0.01
        return max(known.t_leave_min, pause, 3 * once) + 3 * once


TestConference = Conference.TestCase
TestConference.settings = settings(
    max_examples=250, stateful_step_count=50, deadline=None, suppress_health_check=list(HealthCheck)
)
