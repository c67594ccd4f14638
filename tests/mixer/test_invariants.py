"""Random lives of conferences, and what must hold after every tick (the ids are the design's).

I1   no (key, SSRC, index) protects two different packets
I5   nobody who stays misses a packet, whatever happens to keys
I8   each stream is encoded and encrypted once a packet time, whoever listens
I11  no two live SSRCs of a conference are equal
I12  no octet of a key is in anything that can be printed
and every datagram that came has exactly one fate; nothing leaves in clear, and nothing to who has left.
"""

from __future__ import annotations

import hashlib
from itertools import pairwise
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from mixer import port
from mixer.port import PortError, Refusal
from tests import naive
from tests.leaks import leaks
from tests.mixer.net import Net
from tests.mixer.phone import tone
from tests.mixer.room import MODES, Room
from tests.reference.srtp import Context

MOST = 8
"""Legs at a time."""
COHORTS = (0, 1)
pick = st.integers(0, 99)
"""One of those that are there."""


class Life(RuleBasedStateMachine):
    """Two conferences in one engine."""

    def __init__(self) -> None:
        super().__init__()
        self.texts: list[str] = []
        self.log: dict[tuple[str, int, int], bytes] = {}
        self.prepared: dict[tuple[str, int], list[int]] = {}
        """Epochs that wait, by conference and cohort."""
        self.renewals = 1
        self.names = 0
        self.lives = 0
        self.gone: set[str] = set()
        self.dialled: set[str] = set()

    @initialize(modes=st.tuples(st.sampled_from(MODES), st.sampled_from(MODES)), tick_ms=st.sampled_from([10, 20]))
    def begin(self, modes: tuple[str, str], tick_ms: int) -> None:
        self.room = Room(tick_ms=tick_ms, max_legs=MOST, net=Net(3, jitter_ms=5))
        for number, mode in enumerate(modes):
            self.create(f"hall{number}", mode)
            self.join(hall=number, ptime=20, own=False, talks=True)
            self.join(hall=number, ptime=40, own=False, talks=True)
        self.ticks(5)

    # -- what happens

    def create(self, slot: str, mode: str) -> None:
        self.lives += 1
        name = f"{slot}.{self.lives}"
        for _ in range(25):
            try:
                self.room.create(mode, name, rate=(8000, 16000, "auto")[self.lives % 3])
                break
            except PortError as error:
                self.full(error)
                self.tick()
        self.prepared |= {(name, cohort): [] for cohort in COHORTS}
        if mode != "unique":
            self.room.prepare(name, cohort=1)
            self.room.activate(name, cohort=1)

    def full(self, error: PortError) -> None:
        """The only refusal that a schedule may meet: rows rest for a few ticks before they are used again."""
        self.texts += [str(error), repr(error)]
        if error.refusal != Refusal.LIMIT:
            raise error

    def halls(self) -> list[str]:
        return sorted({name for name, _ in self.prepared})

    def legs(self) -> list[str]:
        return sorted(self.room.phones)

    def apply(self, command: port.Command) -> None:
        self.texts.append(f"{command!r} {command}")
        try:
            self.texts.append(str(self.room.apply(command)))
        except PortError as error:
            self.texts += [str(error), repr(error), repr(error.__cause__), repr(error.__context__)]

    @rule(
        hall=pick,
        ptime=st.sampled_from([10, 20, 40, 60]),
        own=st.booleans(),
        talks=st.sampled_from([True, True, False]),
        cohort=st.sampled_from(COHORTS),
        bridged=st.booleans(),
        codec=st.sampled_from(["PCMU", "PCMU", "G722", "opus"]),
        known=st.sampled_from([True, True, False]),
    )
    def join(
        self,
        hall: int,
        ptime: int,
        own: bool,
        talks: bool,
        cohort: int = 0,
        bridged: bool = False,
        codec: str = "PCMU",
        known: bool = True,
    ) -> None:
        name = f"leg{self.names}"
        self.names += 1
        where = self.halls()[hall % len(self.halls())]
        voice = tone(300 + 37 * self.names) if talks else None
        fields: dict[str, Any] = {"keying": "unique"} if own else {"cohort": cohort}
        if self.room.halls[where].mode != "unique" and not own:
            # A cohort whose key was retired takes only legs that begin under their own.
            fields["bridged"] = bridged or not self.active(where, cohort)
            if fields["bridged"]:
                fields["tx"] = self.room.key(f"tx:{name}", mki=self.room.mki(self.room.halls[where].mki_width))
        try:
            fields |= {"dtmf": 101, "comfort_noise": 13 if self.names % 2 else None}
            self.room.join(name, voice, hall=where, ptime=ptime, codec=codec, known=known, **fields)
        except PortError as error:
            self.full(error)

    @precondition(lambda self: self.room.phones)
    @rule(leg=pick, bridge=st.booleans())
    def leave(self, leg: int, bridge: bool) -> None:
        name = self.legs()[leg % len(self.room.phones)]
        self.gone.add(self.room.phones[name].address)
        self.texts.append(repr(self.room.leave(name, bridge=bridge and self.all_have_keys(name))))

    @precondition(lambda self: self.room.phones)
    @rule(leg=pick, talks=st.sampled_from([True, True, False]))
    def talk(self, leg: int, talks: bool) -> None:
        phone = self.room.phones[self.legs()[leg % len(self.room.phones)]]
        phone.voice = tone(300 + 50 * leg) if talks else None

    @precondition(lambda self: self.room.phones)
    @rule(leg=pick, mute=st.booleans())
    def mute(self, leg: int, mute: bool) -> None:
        self.apply(port.LegModify(leg=self.legs()[leg % len(self.room.phones)], mute=mute))

    @precondition(lambda self: self.room.phones)
    @rule(leg=pick, alone=st.booleans())
    def set_apart(self, leg: int, alone: bool) -> None:
        self.apply(port.LegModify(leg=self.legs()[leg % len(self.room.phones)], alone=alone))

    @precondition(lambda self: self.room.phones)
    @rule(leg=pick, digits=st.sampled_from(["1", "23#"]))
    def dial(self, leg: int, digits: str) -> None:
        name = self.legs()[leg % len(self.room.phones)]
        self.dialled.add(name)
        self.apply(port.LegDial(leg=name, digits=digits))

    @precondition(lambda self: self.room.phones)
    @rule(leg=pick, alone=st.booleans(), exclusive=st.booleans())
    def play(self, leg: int, alone: bool, exclusive: bool) -> None:
        self.names += 1
        name = self.legs()[leg % len(self.room.phones)]
        who: dict[str, Any] = {"legs": (name,)} if alone else {"conference": self.room.status(name).conference}
        tones = (port.Tone(hz=700.0, ms=90),)
        self.apply(port.PlayStart(play=f"play{self.names}", tones=tones, exclusive=exclusive, **who))

    @rule(loss=st.sampled_from([0.0, 0.1, 0.6]), jitter=st.sampled_from([0.0, 5.0, 70.0]))
    def weather(self, loss: float, jitter: float) -> None:
        self.room.net.loss, self.room.net.jitter_ms = loss, jitter

    @precondition(lambda self: len(self.room.phones) > 1)
    @rule(leg=pick, other=pick)
    def collide(self, leg: int, other: int) -> None:
        """A phone begins to use the SSRC of another, or of the mixer."""
        phones = [self.room.phones[name] for name in self.legs()]
        one, two = phones[leg % len(phones)], phones[other % len(phones)]
        ours = [heard.packet.ssrc for heard in two.heard[-1:]]
        one.ssrc = ours[0] if ours and leg % 2 else two.ssrc

    @precondition(lambda self: self.room.phones)
    @rule(leg=pick, ssrc=st.integers(0, 3))
    def change_ssrc(self, leg: int, ssrc: int) -> None:
        self.room.phones[self.legs()[leg % len(self.room.phones)]].ssrc = ssrc

    def grouped(self, hall: int) -> str | None:
        some = [name for name in self.halls() if self.room.halls[name].mode != "unique"]
        return some[hall % len(some)] if some else None

    # -- keys

    def active(self, hall: str, cohort: int) -> bool:
        """The cohort has a group key."""
        return any(one.cohort == cohort and one.epoch for one in self.room.show(hall).cohorts)

    def cohort_of(self, leg: str) -> tuple[str, int, list[str]]:
        """Conference and cohort of a leg, and all legs of that cohort that may hear a group key."""
        status = self.room.status(leg)
        return status.conference, status.cohort, self.room.members(status.conference, status.cohort)

    def has_key(self, leg: str) -> bool:
        return any(name.startswith("tx:") for name in self.room.phones[leg].keys)

    def all_have_keys(self, leg: str) -> bool:
        """Bridging this leg's cohort silences nobody."""
        return all(self.has_key(name) for name in self.cohort_of(leg)[2])

    @rule(hall=pick, cohort=st.sampled_from(COHORTS))
    def prepare(self, hall: int, cohort: int) -> None:
        name = self.grouped(hall)
        if name and len(self.prepared[name, cohort]) < 2:
            self.prepared[name, cohort].append(self.room.prepare(name, cohort=cohort).epoch)

    @rule(hall=pick, cohort=st.sampled_from(COHORTS), which=pick)
    def activate(self, hall: int, cohort: int, which: int) -> None:
        name = self.grouped(hall)
        if not name or not self.prepared[name, cohort]:
            return
        waiting = self.prepared[name, cohort]
        epoch = waiting[which % len(waiting)]
        self.apply(port.KeyActivate(conference=name, cohort=cohort, epoch=epoch))
        self.room.halls[name].current[cohort] = epoch
        self.prepared[name, cohort] = [later for later in waiting if later > epoch]

    @rule(hall=pick, cohort=st.sampled_from(COHORTS), which=pick)
    def abort(self, hall: int, cohort: int, which: int) -> None:
        name = self.grouped(hall)
        if name and self.prepared[name, cohort]:
            epoch = self.prepared[name, cohort].pop(which % len(self.prepared[name, cohort]))
            self.apply(port.KeyAbort(conference=name, cohort=cohort, epoch=epoch))
            self.apply(port.KeyActivate(conference=name, cohort=cohort, epoch=epoch))

    @precondition(lambda self: self.room.phones)
    @rule(leg=pick, on=st.booleans(), all_of_them=st.booleans())
    def bridge(self, leg: int, on: bool, all_of_them: bool) -> None:
        name = self.legs()[leg % len(self.room.phones)]
        hall, cohort, members = self.cohort_of(name)
        if name not in members or not self.active(hall, cohort):
            return
        some = members if all_of_them else [name]
        if not on or all(self.has_key(member) for member in some):
            self.room.bridge(*some, on=on, hall=hall, cohort=cohort)

    @precondition(lambda self: self.room.phones)
    @rule(leg=pick)
    def retire(self, leg: int) -> None:
        """Back to own keys, where everybody has one."""
        name = self.legs()[leg % len(self.room.phones)]
        hall, cohort, members = self.cohort_of(name)
        if name in members and self.active(hall, cohort) and self.all_have_keys(name):
            epoch = next(one.epoch for one in self.room.show(hall).cohorts if one.cohort == cohort)
            self.apply(port.KeyRetire(conference=hall, cohort=cohort, epoch=epoch))

    @precondition(lambda self: self.room.phones)
    @rule(leg=pick)
    def renew_own(self, leg: int) -> None:
        """A leg hears under a fresh key of its own from the next packet on."""
        name = self.legs()[leg % len(self.room.phones)]
        if not self.has_key(name):
            return
        self.renewals += 1
        phone, status = self.room.phones[name], self.room.status(name)
        former = [context for key, context in phone.keys.items() if key.startswith("tx:")][-1]
        mki = self.room.mki(len(former.mki))
        key = self.room.key(f"tx:{name}/{self.renewals}", mki=mki, epoch=self.renewals)
        self.room.apply(port.KeyPrepare(conference=status.conference, leg=name, key=key))
        context = Context(key.suite, key.secret.reveal(), mki=former.mki and bytes.fromhex(mki), roc=former.roc)
        if self.room.halls[status.conference].mode == "mki":
            context.streams = former.streams
        phone.keys[f"tx:{name}/{self.renewals}"] = context
        self.room.apply(port.KeyActivate(conference=status.conference, leg=name, epoch=self.renewals))

    @precondition(lambda self: self.room.phones)
    @rule(leg=pick, used=st.booleans())
    def renew_uplink(self, leg: int, used: bool) -> None:
        """A leg gets a fresh key for what it sends, and uses it or not."""
        name = self.legs()[leg % len(self.room.phones)]
        phone = self.room.phones[name]
        if phone.uplink is None:
            return
        self.renewals += 1
        key = self.room.key(f"rx:{name}/{self.renewals}", epoch=self.renewals)
        command = port.KeyPrepare(conference=self.room.status(name).conference, leg=name, direction="rx", key=key)
        try:
            self.room.apply(command)
        except PortError as error:
            if error.refusal != Refusal.BAD_EPOCH:  # two are prepared already
                raise
            return
        if used:
            after = Context(key.suite, key.secret.reveal(), roc=phone.uplink.roc)
            after.streams = phone.uplink.streams
            phone.uplink = after

    @rule(hall=pick, mode=st.sampled_from(MODES))
    def replace(self, hall: int, mode: str) -> None:
        """A conference ends, and another begins on its row."""
        name = self.halls()[hall % len(self.halls())]
        for leg in self.room.show(name).legs:
            self.gone.add(self.room.phones.pop(leg.leg).address)
        self.apply(port.ConferenceDestroy(conference=name))
        for cohort in COHORTS:
            del self.prepared[name, cohort]
        self.create(name.partition(".")[0], mode)

    # -- what must hold

    @rule(count=st.integers(3, 20))
    def ticks(self, count: int) -> None:
        for _ in range(count):
            self.tick()

    @invariant()
    def time_passes(self) -> None:
        """Most things that happen are followed by some packets."""
        if hasattr(self, "room"):
            self.ticks(self.names % 4)

    def tick(self) -> None:
        room = self.room
        start = len(room.sent)
        counters = room.engine.counters
        before = counters.encrypts, counters.encodes, counters.packets_sent
        marks = {name: len(phone.heard) for name, phone in room.phones.items()}
        room.step()
        sent = [sent for sent in room.sent[start:] if naive.kind_of(sent.octets) == "rtp"]
        heard = [
            (name, phone.heard[at])
            for name, phone in room.phones.items()
            for at in range(marks[name], len(phone.heard))
        ]
        assert not self.gone & {packet.address for packet in sent}, "nothing but a goodbye to who has left"
        assert len(sent) == len(heard), "everything that is sent can be read by whom it is sent to"
        assert all(heard.key for _, heard in heard), "and is encrypted"
        self.gone.clear()
        packets: dict[tuple[str, int, int], bytes] = {}
        for _, one in heard:
            name = one.key, one.packet.ssrc, one.packet.seq
            digest = hashlib.sha256(one.packet.pack()).digest()
            assert packets.setdefault(name, digest) == digest
            assert name not in self.log, "I1: this index was sent before"
        self.log |= packets
        # I8
        distinct = {packet.packet for packet in sent}
        assert len(packets) == len(distinct) == counters.encrypts - before[0]
        assert counters.encodes - before[1] <= len(distinct)
        assert counters.packets_sent - before[2] == len(sent)
        each: dict[tuple[str, int], int] = {}
        for key, ssrc, _ in packets:
            each[key, ssrc] = each.get((key, ssrc), 0) + 1
        assert max(each.values(), default=1) <= (2 if room.tick_ns == 20_000_000 else 1)
        self.check_ssrcs()
        room.check_tally()

    def check_ssrcs(self) -> None:
        ours = {heard.packet.ssrc for phone in self.room.phones.values() for heard in phone.heard[-1:]}
        for name in self.halls():
            shown = self.room.show(name)
            theirs = [leg.ssrc for leg in shown.legs if leg.ssrc]
            assert len(set(theirs)) == len(theirs), "I11"
            assert not ours & set(theirs), "I11: ours and theirs"
            self.texts.append(repr(shown))

    def teardown(self) -> None:
        if not hasattr(self, "room"):
            return
        for phone in self.room.phones.values():
            assert not phone.refused
            stamps = [heard.packet.timestamp for heard in phone.heard]
            steps = {b - a & 0xFFFF_FFFF for a, b in pairwise(stamps)}
            # Events have the time at which they began (RFC 4733 section 2.2.1).
            assert phone.name in self.dialled or steps <= {phone.clock // 1000 * phone.ptime}, "I5"
        self.texts += [repr(event) for event in self.room.events]
        assert not leaks(self.room.secrets, "\n".join(self.texts))
        self.room.engine.close()


Life.TestCase.settings = settings(
    max_examples=25, stateful_step_count=30, deadline=None, suppress_health_check=list(HealthCheck)
)
TestLife = Life.TestCase
