"""The conductor against a mixer that refuses, answers late or was cut off, and members that do as they like."""

from __future__ import annotations

from dataclasses import dataclass, field

import msgspec
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from control.member import Member
from control.mikey.errors import MikeyError
from control.protocol import LINE_LIMIT
from control.rekey.conductor import Conductor, Joiner, NameTaken, Request, Ticket
from control.rekey.keychain import Keychain
from control.rekey.policy import Policy
from control.rekey.settings import RekeySettings
from mixer import port
from mixer.secret import Secret
from tests.keys.house import House


def stream(roc: int = 0, ssrc: int = 77) -> port.StreamPosition:
    return port.StreamPosition(ssrc=ssrc, roc=roc, seq=1, payload_type=0)


@dataclass
class Stage:
    """A conductor whose mixer and KMS say yes to everything, once they are asked to."""

    conductor: Conductor = field(init=False)
    members: dict[str, Member] = field(default_factory=dict)
    sent: list[tuple[str, bytes]] = field(default_factory=list)
    now: float = 0.0
    keys: int = 0

    def __post_init__(self) -> None:
        settings = msgspec.convert({"mode": "group", "cohort_target": 0, "t_leave_min": 0.1}, RekeySettings)
        keychain = Keychain("c", "AES_CM_128_HMAC_SHA1_80")
        self.conductor = Conductor(Policy(settings), keychain, identity="focus")

    def joiner(self, name: str, psk: int = 1) -> Joiner:
        self.keys += 1
        key = port.Key(secret=Secret(self.keys.to_bytes(30)), mki=f"8000{self.keys:04x}")
        return Joiner(port.LegAdd(conference="c", leg=name, tx=key, remove_on_timeout=True), Secret(bytes([psk]) * 16))

    def join(self, name: str, psk: int = 1) -> None:
        self.members[name] = Member(name, Secret(bytes([psk]) * 16), focus="focus", conference="c")
        self.conductor.join(self.joiner(name, psk), self.now)

    def answer(self, ticket: Ticket) -> None:
        reply: port.Reply = port.Done()
        if isinstance(ticket.command, port.LegAdd):
            reply = port.LegAdded(leg=ticket.member, payload_type=0, stream=stream())
        self.conductor.replied(ticket, reply, self.now)

    def work(self, *, acks: bool = True) -> list[Ticket]:
        """Until nothing is left; returns what was asked of the mixer."""
        asked: list[Ticket] = []
        for _ in range(100):
            tickets = self.conductor.tickets()
            for ticket in tickets:
                self.answer(ticket)
            requests = self.conductor.requests()
            for request in requests:
                self.conductor.made(request, Secret(request.epoch.to_bytes(32)), self.now)
            messages = self.conductor.messages()
            self.sent += messages
            for name, octets in messages if acks else ():
                answer = self.members[name].receive(octets, now=self.now)
                if answer is not None:
                    self.conductor.heard(name, answer, self.now)
            asked += tickets
            if not tickets and not requests and not messages:
                return asked
        raise AssertionError("it never comes to rest")

    def run(self, seconds: float, *, acks: bool = True) -> list[Ticket]:
        asked = self.work(acks=acks)
        until = self.now + seconds
        while (due := self.conductor.due()) is not None and due <= until:
            self.now = due
            self.conductor.advance(self.now)
            asked += self.work(acks=acks)
        self.now = until
        return asked


def settled(*names: str) -> Stage:
    stage = Stage()
    for name in names:
        stage.join(name)
    stage.run(1.0)
    assert all(stage.members[name].epoch for name in names)
    return stage


# -- who comes ------------------------------------------------------------------------------------


def test_a_second_of_the_same_name_gets_nothing() -> None:
    """Its keys would else go out under the PSK of whoever came last."""
    stage = settled("ann", "bob")
    with pytest.raises(NameTaken, match="bob"):
        stage.conductor.join(stage.joiner("bob", psk=2), stage.now)
    stage.conductor.leave("ann", stage.now)
    epoch = stage.members["bob"].epoch
    stage.run(1.0)
    assert stage.members["bob"].epoch > epoch
    assert stage.members["bob"].refused == 0


def test_one_who_cannot_be_told_keys_was_never_there() -> None:
    stage = settled("ann")
    short = Joiner(stage.joiner("bob").leg, Secret(b"short"))
    with pytest.raises(MikeyError):
        stage.conductor.join(short, stage.now)
    assert not stage.conductor.tickets()
    stage.join("bob")
    stage.run(1.0)
    assert stage.members["bob"].epoch


def test_an_answer_for_who_was_there_before_is_not_for_who_came_after() -> None:
    """bob joins, leaves, and joins again before the mixer has said a word; it refuses the first leg only."""
    stage = settled("ann")
    stage.join("bob")
    stage.conductor.leave("bob", stage.now)
    stage.join("bob")
    first, *rest = stage.conductor.tickets()
    assert isinstance(first.command, port.LegAdd)
    stage.conductor.refused(first, stage.now)
    for ticket in rest:
        stage.answer(ticket)
    assert stage.conductor.attention == []
    stage.run(1.0)
    assert stage.members["bob"].epoch


def test_a_leg_that_the_mixer_refuses_leaves_the_others_alone() -> None:
    """One bad name in a list, and the mixer refuses the list: the others would stay on own keys for good, or be
    switched to a key that they do not have."""
    one = House(max_legs=3, rekey={"t_leave_min": 0.1})
    for name in ("ann", "bob", "cat", "too-many"):
        one.join(name)
    assert [each.member for each in one.conductor.attention] == ["too-many"]
    one.settle()
    one.leave("too-many")
    one.leave("cat")
    one.run(1500)
    assert one.settled()
    assert one.guests["ann"].member.epoch
    assert not [error for error in one.refusals if "too-many" in str(error)], "it is not named again"


def test_the_mixer_removes_no_leg_by_itself() -> None:
    """It would be missing in the next list of legs. Who goes, the focus says: it hears of a silent leg."""
    stage = Stage()
    stage.join("ann")
    (ticket,) = stage.conductor.tickets()
    assert isinstance(ticket.command, port.LegAdd)
    assert not ticket.command.remove_on_timeout


# -- the line -------------------------------------------------------------------------------------


def test_a_list_of_legs_fits_a_line() -> None:
    """The longest names there are, of the one character that doubles in JSON."""
    stage = Stage()
    stage.conductor.conference = stage.conductor.keychain.conference = '"' * 64
    names = [f"{number:064b}".replace("0", '"').replace("1", "\\") for number in range(1000)]
    for name in names:
        stage.join(name)
    bridges = [ticket.command for ticket in stage.run(1.0) if isinstance(ticket.command, port.KeyBridge)]
    assert sorted(name for bridge in bridges for name in bridge.legs or ()) == sorted(names)
    assert max(encoded(bridge) for bridge in bridges) <= LINE_LIMIT


def encoded(command: port.Command) -> int:
    """Octets of the line, with the largest number that a request may have."""
    request = {"jsonrpc": "2.0", "id": 1 << 53, "method": "key.bridge", "params": command}
    return len(msgspec.json.encode(request))


# -- what is remembered -----------------------------------------------------------------------------


def test_a_message_that_was_acknowledged_is_kept_no_longer() -> None:
    stage = settled("ann", "bob")
    octets = {octets for _, octets in stage.sent}
    assert octets
    assert not octets & {value for value in reachable(stage.conductor) if isinstance(value, bytes)}


def reachable(root: object) -> list[object]:
    """Everything that hangs on an object."""
    import gc

    found: dict[int, object] = {}
    queue = [root]
    while queue:
        thing = queue.pop()
        if id(thing) in found or isinstance(thing, type) or type(thing).__name__ in ("module", "function"):
            continue
        found[id(thing)] = thing
        queue += gc.get_referents(thing)
    return list(found.values())


def test_a_push_tells_the_rollover_counter_of_today() -> None:
    """Not that of when the member joined: a receiver that begins with it would be wrong after 22 minutes."""
    stage = settled("ann", "bob")
    switched = port.KeySwitched(conference="c", epoch=0x100, streams=[stream(roc=5)])
    stage.conductor.happened(switched, stage.now)
    stage.conductor.leave("bob", stage.now)
    stage.run(1.0)
    newest = max(stage.members["ann"].held(), key=lambda key: key.mki if key.mki < b"\x80" else b"")
    assert newest.streams == ((77, 5),)


def test_a_switch_elsewhere_tells_nothing() -> None:
    stage = settled("ann", "bob")
    for event in (
        port.KeySwitched(conference="other", epoch=0x100, streams=[stream(roc=5)]),
        port.KeySwitched(conference="c", leg="ann", epoch=0x100, streams=[stream(roc=5)]),
        port.KeySwitched(conference="c", epoch=0x100, streams=[stream(roc=5, ssrc=78)]),
    ):
        stage.conductor.happened(event, stage.now)
    stage.conductor.leave("bob", stage.now)
    stage.run(1.0)
    newest = max(stage.members["ann"].held(), key=lambda key: key.mki if key.mki < b"\x80" else b"")
    assert newest.streams == ((77, 0),)


def test_who_leaves_is_sent_nothing_that_was_ready_to_go() -> None:
    stage = settled("ann", "bob", "cat")
    stage.conductor.leave("cat", stage.now)
    for ticket in stage.conductor.tickets():
        stage.answer(ticket)
    (request,) = stage.conductor.requests()
    stage.conductor.made(request, Secret(bytes(range(32))), stage.now)
    for ticket in stage.conductor.tickets():
        stage.answer(ticket)
    stage.conductor.leave("bob", stage.now)
    assert [name for name, _ in stage.conductor.messages()] == ["ann"]


# -- the mixer was cut off --------------------------------------------------------------------------


def shown(*legs: str, highest: int) -> port.ConferenceStatus:
    """A conference with one cohort under its highest key."""
    cohort = port.CohortStatus(
        cohort=0, suite="", epoch=highest, prepared=[], highest=highest, age_s=0, packets=0, legs=len(legs), bridged=0
    )
    return port.ConferenceStatus(
        conference="c",
        rate=8000,
        keying="group",
        style="mki",
        suite="",
        epoch=highest,
        prepared=[],
        cohorts=[cohort],
        max_talkers=8,
        talkers=[],
        streams=[],
        legs_count=len(legs),
        legs=[leg_status(leg) for leg in legs],
    )


def leg_status(leg: str) -> port.LegStatus:
    words = {"conference": "c", "leg": leg, "codec": "PCMU", "direction": "sendrecv", "keying": "group"}
    words |= {"suite": "", "address": ""}
    empty = {name: words.get(name, 0) for name in port.LegStatus.__struct_fields__}
    return msgspec.convert(empty, port.LegStatus, strict=False)


def test_one_who_left_and_came_again_while_the_mixer_was_away_gets_a_new_leg() -> None:
    """The leg that the mixer has is of the visit before: its keys, and its address."""
    stage = settled("ann", "bob")
    conductor = stage.conductor
    conductor.leave("bob", stage.now)
    stage.join("bob")
    assert conductor.unconfirmed() == {"bob"}
    joiners = [stage.joiner("ann"), stage.joiner("bob")]
    conductor.recover(shown("ann", "bob", highest=0x100), joiners, stage.now)
    commands = [ticket.command for ticket in conductor.tickets()]
    assert commands[0] == port.LegRemove(leg="bob")
    (added,) = [command for command in commands if isinstance(command, port.LegAdd)]
    assert added.leg == "bob"
    assert added.tx == joiners[1].leg.tx


def test_a_removal_that_the_mixer_confirmed_is_done() -> None:
    stage = settled("ann", "bob")
    stage.conductor.leave("bob", stage.now)
    stage.join("bob")
    stage.run(1.0)
    assert not stage.conductor.unconfirmed()


def test_what_follows_a_restart_is_above_what_the_kms_has_made() -> None:
    stage = settled("ann")
    stage.conductor.recover(None, [stage.joiner("ann")], stage.now, above=0x7700)
    stage.members["ann"] = Member("ann", Secret(bytes([1]) * 16), focus="focus", conference="c")
    stage.run(1.0)
    assert stage.members["ann"].epoch == 0x7800


def test_a_bridge_that_was_to_come_with_a_removal_comes_without() -> None:
    """Somebody else has removed the leg; the others must leave the key that the leaver holds all the same."""
    stage = settled("ann", "bob")
    stage.conductor.leave("bob", stage.now)
    removal = stage.conductor.tickets()[0]
    assert removal.command == port.LegRemove(leg="bob", bridge=True)
    stage.conductor.refused(removal, stage.now)
    (bridge,) = [each.command for each in stage.conductor.tickets() if isinstance(each.command, port.KeyBridge)]
    assert bridge == port.KeyBridge(conference="c", cohort=0, on=True)


def test_what_is_retired_is_retired_at_whatever_step() -> None:
    """The mixer never said whether it took the last step: it is told of both, and neither is kept here."""
    stage = settled("ann", "bob")
    stage.join("cat")
    stage.now += 0.2
    stage.conductor.advance(stage.now)
    (activate,) = [t.command for t in stage.conductor.tickets() if isinstance(t.command, port.KeyActivate)]
    assert activate.epoch == 0x101
    stage.now += 6.0
    stage.conductor.advance(stage.now)
    for name in ("ann", "bob", "cat"):
        stage.conductor.leave(name, stage.now)
    retired = [t.command.epoch for t in stage.conductor.tickets() if isinstance(t.command, port.KeyRetire)]
    assert retired == [0x100, 0x101]
    assert not [value for value in reachable(stage.conductor.keychain) if isinstance(value, Secret)]


def test_a_focus_that_ends_keeps_no_key() -> None:
    stage = settled("ann")
    stage.conductor.close()
    assert not stage.conductor.keychain.holds(0, 0x100)
    assert not [value for value in reachable(stage.conductor.keychain) if isinstance(value, Secret)]


# -- whatever comes, in whatever order ----------------------------------------------------------------

NAMES = st.sampled_from(["ann", "bob", "cat", "dan"])


class OddWorld(RuleBasedStateMachine):
    """Answers come late, twice, out of turn, or as refusals; acknowledgements are forged, replayed and swapped."""

    def __init__(self) -> None:
        super().__init__()
        self.stage = Stage()
        self.conductor = self.stage.conductor
        self.here: set[str] = set()
        self.tickets: list[Ticket] = []
        self.requests: list[Request] = []
        self.answers: list[tuple[str, bytes]] = []
        self.asked: set[tuple[int, int]] = set()
        self.prepared: set[tuple[int, int]] = set()

    def drain(self) -> None:
        self.tickets += self.conductor.tickets()
        new = self.conductor.requests()
        for request in new:
            assert (request.cohort, request.epoch) not in self.asked, "no epoch is asked for twice"
        self.asked |= {(request.cohort, request.epoch) for request in new}
        self.requests += new
        for name, octets in self.conductor.messages():
            assert name in self.here, "keys go to members only"
            member = self.stage.members[name]
            before = {key.mki for key in member.held()}
            answer = member.receive(octets, now=self.stage.now)
            for key in member.held():
                if key.mki not in before:
                    assert any(epoch == int.from_bytes(key.mki) for _, epoch in self.prepared), "the mixer has it"
            if answer is not None:
                self.answers.append((name, answer))

    @rule(name=NAMES)
    def join(self, name: str) -> None:
        if name in self.here:
            with pytest.raises(NameTaken):
                self.conductor.join(self.stage.joiner(name), self.stage.now)
        else:
            self.here.add(name)
            self.stage.join(name)

    @rule(name=NAMES, evict=st.booleans())
    def leave(self, name: str, evict: bool) -> None:
        self.here.discard(name)
        self.conductor.leave(name, self.stage.now, evict=evict)

    @precondition(lambda self: self.tickets)
    @rule(pick=st.integers(0, 99), fate=st.sampled_from(["done", "done", "done", "refused", "twice"]))
    def reply(self, pick: int, fate: str) -> None:
        ticket = self.tickets.pop(0 if pick < 80 else pick % len(self.tickets))
        command = ticket.command
        if fate == "refused":
            if isinstance(command, port.LegAdd):
                self.refuse_leg(ticket)
            else:
                self.conductor.refused(ticket, self.stage.now)
            return
        if isinstance(command, port.KeyPrepare):
            self.prepared.add((command.cohort, command.key.epoch))
        if isinstance(command, port.KeyActivate):  # a mixer that has activated it held it before
            self.prepared.add((command.cohort, command.epoch))
        self.stage.answer(ticket)
        if fate == "twice":
            self.stage.answer(ticket)

    def refuse_leg(self, ticket: Ticket) -> None:
        told = len(self.conductor.attention)
        self.conductor.refused(ticket, self.stage.now)
        if len(self.conductor.attention) > told:
            self.here.discard(ticket.member)

    @precondition(lambda self: self.requests)
    @rule(pick=st.integers(0, 99), fate=st.sampled_from(["made", "made", "not", "twice"]))
    def key(self, pick: int, fate: str) -> None:
        request = self.requests.pop(pick % len(self.requests))
        if fate == "not":
            self.conductor.not_made(request, self.stage.now)
            return
        for _ in range(1 + (fate == "twice")):
            self.conductor.made(request, Secret(request.epoch.to_bytes(32)), self.stage.now)

    @precondition(lambda self: self.answers)
    @rule(pick=st.integers(0, 99), name=NAMES, fate=st.sampled_from(["true", "true", "twice", "other", "forged"]))
    def acknowledge(self, pick: int, name: str, fate: str) -> None:
        sender, octets = self.answers.pop(pick % len(self.answers))
        if fate == "forged":
            octets = octets[:-1] + bytes([octets[-1] ^ 1])
        if fate == "other" and name != sender:
            assert not self.conductor.heard(name, octets, self.stage.now), "that is another's word"
            return
        heard = self.conductor.heard(sender, octets, self.stage.now)
        assert not (heard and fate == "forged")
        if fate == "twice":
            assert not self.conductor.heard(sender, octets, self.stage.now)

    @initialize(count=st.integers(0, 3))
    def begin(self, count: int) -> None:
        for name in ["ann", "bob", "cat"][:count]:
            self.join(name)
        self.well()

    @rule(wait=st.sampled_from([0.0, 0.15, 0.15, 0.4]), acks=st.booleans())
    def well(self, wait: float = 0.2, acks: bool = True) -> None:
        """For a while, everybody does what is asked; or all but the members."""
        self.drain()
        for turn in range(60):
            if self.tickets:
                self.reply(0, "done")
            elif self.requests:
                self.key(0, "made")
            elif self.answers and acks:
                sender, octets = self.answers.pop(0)
                self.conductor.heard(sender, octets, self.stage.now)
            elif turn < 50 and wait:
                self.wait(wait)
                wait = 0
            self.drain()

    @rule(name=NAMES, octets=st.binary(max_size=60))
    def nonsense(self, name: str, octets: bytes) -> None:
        assert not self.conductor.heard(name, octets, self.stage.now)

    @rule(epoch=st.integers(1, 6), cohort=st.integers(0, 1))
    def expired(self, epoch: int, cohort: int) -> None:
        event = port.KeyExpired(conference="c", cohort=cohort, epoch=epoch << 8, silenced=0)
        self.conductor.happened(event, self.stage.now)

    @rule(wait=st.sampled_from([0.0, 0.1, 1.0, 6.0, 400.0]))
    def wait(self, wait: float) -> None:
        self.stage.now += wait
        self.conductor.advance(self.stage.now)

    @rule()
    def restart(self) -> None:
        """The mixer: what it had to say is lost, what the KMS has is not."""
        self.tickets.clear()
        self.conductor.recover(None, [self.stage.joiner(name) for name in self.here], self.stage.now)

    @invariant()
    def sound(self) -> None:
        self.drain()
        held = [value for value in reachable(self.conductor.keychain) if isinstance(value, Secret)]
        assert len(held) <= 2 + len(self.tickets) + len(self.requests)
        counts = self.conductor.counts
        assert counts.acks <= counts.messages


TestOddWorld = OddWorld.TestCase
TestOddWorld.settings = settings(
    max_examples=150, stateful_step_count=40, deadline=None, suppress_health_check=list(HealthCheck)
)
