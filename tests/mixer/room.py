"""An engine, its phones and the network between them, on one virtual clock.

`Room.step` is one tick: phones speak, the network delivers, the engine receives and ticks, phones hear.
Everything that left is in `sent`, and every key ever given to the mixer in `secrets`.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np

from mixer import addresses, port
from mixer.batch import STRIDE, Batch, Fanout
from mixer.config import MixerConfig
from mixer.drops import LABELS
from mixer.engine import Engine
from mixer.ledger import KeyLedger
from mixer.port import Event, Key, LegAdded
from mixer.secret import Secret
from mixer.spread import Spread, one_by_one
from mixer.suites import SuiteName
from tests import codecs
from tests.mixer.net import MS, Datagram, Net
from tests.mixer.phone import Phone, Voice
from tests.reference.srtp import SUITES, Context

DEFAULT: Final[SuiteName] = "AES_CM_128_HMAC_SHA1_80"
MODES: Final = ("unique", "ssrc", "mki")
"""Ways to be keyed: by leg; by group with a fresh SSRC an epoch; by group with an MKI."""


@dataclass(frozen=True)
class Sent:
    """A datagram that left the engine."""

    frame: int
    octets: bytes
    address: str
    local: int
    packet: int
    """Equal for copies of one packet of one tick."""


@dataclass
class Hall:
    """A conference as its controller knows it."""

    name: str
    mode: str
    suite: SuiteName
    mki_width: int
    rate: int
    lines: dict[int, dict[int, Key]] = field(default_factory=dict)
    """Group keys ever made, by cohort and epoch."""
    current: dict[int, int] = field(default_factory=dict)
    """The active epoch of each cohort."""
    uplink: Key | None = None

    @property
    def epochs(self) -> dict[int, Key]:
        """Those of cohort 0."""
        return self.lines.setdefault(0, {})

    @property
    def active(self) -> int:
        return self.current.get(0, 0)

    def named(self, cohort: int, epoch: int) -> str:
        """What a key is called in `Room.secrets` and `Phone.keys`."""
        return f"{self.name}/{epoch}" if cohort == 0 else f"{self.name}.{cohort}/{epoch}"


class Room:
    """One engine and everybody around it."""

    def __init__(
        self,
        *,
        tick_ms: int = 20,
        max_legs: int = 32,
        seed: int = 0,
        net: Net | None = None,
        ears: Net | None = None,
        ledger: KeyLedger | None = None,
        spread: Spread = one_by_one,
        **config: Any,
    ):
        """`net`: from phones to the mixer; `ears`: from the mixer to phones, at once and whole if omitted."""
        options = MixerConfig(tick_ms=tick_ms, max_legs=max_legs, **config)  # type: ignore[arg-type]
        self.engine = Engine(options, ledger=ledger, spread=spread)
        self.ears = ears
        self._ledger = ledger
        self._past_ns = 0
        self.tick_ns = tick_ms * MS
        self.net = net or Net(seed)
        self.phones: dict[str, Phone] = {}
        self.halls: dict[str, Hall] = {}
        self.events: list[Event] = []
        self.sent: list[Sent] = []
        self.secrets: dict[str, bytes] = {}
        self.batch = Batch(256)
        self._random = random.Random(seed)
        self._places = 0
        self._mkis = 0

    # -- control

    @property
    def now_ns(self) -> int:
        return self._past_ns + self.engine.frame * self.tick_ns

    @property
    def frame(self) -> int:
        """Ticks since the beginning, over all lives of the mixer."""
        return self.now_ns // self.tick_ns

    def revive(self) -> None:
        """Kill the mixer and start another, with the same ledger and nothing else. Time goes on."""
        self._past_ns = self.now_ns
        self.engine = Engine(self.engine.config, ledger=self._ledger)

    def apply(self, command: port.Command) -> port.Reply:
        return self.engine.apply(command)

    def key(self, name: str, suite: SuiteName = DEFAULT, *, mki: str = "", epoch: int = 1, roc: int = 0) -> Key:
        """A fresh key; its octets go into `secrets`."""
        kind = SUITES[suite]
        octets = self._random.randbytes(kind.key + kind.salt)
        self.secrets[name] = octets
        return Key(suite=suite, secret=Secret(octets), mki=mki, epoch=epoch, roc=roc)

    def mki(self, width: int) -> str:
        """An MKI that nobody has yet, in hex."""
        self._mkis += 1
        return (self._mkis % 256**width).to_bytes(width).hex() if width else ""

    def create(
        self,
        mode: str = "unique",
        name: str = "c",
        *,
        suite: SuiteName = DEFAULT,
        mki_width: int | None = None,
        rate: int | str = 8000,
        uplink: bool = False,
        first_key: bool = True,
        **fields: Any,
    ) -> Hall:
        """Create a conference whose legs are keyed in that mode."""
        width = (2 if mode == "mki" else 0) if mki_width is None else mki_width
        hall = self.halls[name] = Hall(name, mode, suite, width, 8000 if rate == "auto" else int(rate))
        if mode != "unique":
            fields |= {"keying": "group", "style": mode}
            if first_key:
                hall.epochs[1] = fields["key"] = self.key(f"{name}/1", suite, mki=self.mki(width))
                hall.current[0] = 1
        if uplink:
            hall.uplink = fields["uplink_key"] = self.key(f"{name}/uplink", suite)
        self.apply(port.ConferenceCreate(conference=name, rate=rate, **fields))  # type: ignore[arg-type]
        return hall

    def join(
        self,
        name: str,
        voice: Voice | None = None,
        *,
        hall: str = "c",
        codec: str = "PCMU",
        clock: int | None = None,
        ptime: int = 20,
        phone: Mapping[str, Any] | None = None,
        declare: bool = False,
        known: bool = True,
        rx_mki: str = "",
        roc: int = 0,
        told: bool = True,
        **fields: Any,
    ) -> Phone:
        """Add a leg and the phone at its other end.

        Args:
            phone: attributes of the phone that are not as the mixer was told.
            declare: tell the mixer its SSRC; known: tell it the address.
            told: give it the group keys of its cohort.
            fields: more of `LegAdd`.
        """
        place = self.halls[hall]
        rate = codecs.RATES.get(codec) or clock or place.rate
        self._places += 1
        address = f"192.0.2.{self._places % 250 + 1}:{4000 + 2 * self._places}"
        ssrc, kind = self._random.randrange(1, 1 << 32), codecs.TYPES[codec]
        who = Phone(name, address, ssrc, codec, rate, ptime, kind, voice=voice)
        who.clock = codecs.CLOCKS.get(codec, rate)
        fields |= {"codec": codec, "rate": clock, "ptime": ptime}
        if declare:
            fields["ssrc"] = who.ssrc
        if known:
            fields["remote"] = address
        if not fields.get("clear"):
            fields |= self._keys(place, name, rx_mki, roc, fields)
        reply = self.apply(port.LegAdd(conference=hall, leg=name, **fields))
        assert isinstance(reply, LegAdded)
        if not fields.get("clear"):
            who.uplink = self._context(place.uplink if fields.get("uplink") == "group" else fields.get("rx"), roc)
            who.keys = self._ears(place, name, fields, reply, told)
        who.local = self.engine.local_port_of(name)
        who.born_ns = self.now_ns
        for attribute, value in (phone or {}).items():
            setattr(who, attribute, value)
        self.phones[name] = who
        return who

    def _keys(self, place: Hall, name: str, rx_mki: str, roc: int, fields: Mapping[str, Any]) -> dict[str, Key | None]:
        unique = place.mode == "unique" or fields.get("keying") == "unique"
        keys: dict[str, Key | None] = {}
        if "rx" not in fields and fields.get("uplink") != "group":
            keys["rx"] = self.key(f"rx:{name}", place.suite, mki=rx_mki, roc=roc)
        if "tx" not in fields and (unique or place.mode == "mki"):
            keys["tx"] = self.key(f"tx:{name}", place.suite, mki=self.mki(place.mki_width))
        return keys

    def _ears(
        self, place: Hall, name: str, fields: Mapping[str, Any], reply: LegAdded, told: bool
    ) -> dict[str, Context]:
        ears = {}
        if fields.get("tx"):
            ears[f"tx:{name}"] = self._context(fields["tx"], reply.stream.roc)
        cohort = fields.get("cohort", 0)
        if place.mode != "unique" and fields.get("keying") != "unique" and told:
            for epoch, key in place.lines.get(cohort, {}).items():
                if epoch >= place.current.get(cohort, 0):
                    ears[place.named(cohort, epoch)] = self._context(key, reply.stream.roc)
        held = {key: context for key, context in ears.items() if context}
        if place.mode == "mki":  # a rollover counter belongs to an SSRC, whatever the key (RFC 3711 section 3.2.3)
            for context in held.values():
                context.streams = next(iter(held.values())).streams
        return held

    @staticmethod
    def _context(key: Key | None, roc: int = 0) -> Context | None:
        if key is None:
            return None
        return Context(key.suite, key.secret.reveal(), mki=bytes.fromhex(key.mki), roc=roc)

    def prepare(self, hall: str = "c", *, cohort: int = 0, members: Iterable[str] | None = None) -> Key:
        """Give the next group key to members (all of the cohort by default) and to the mixer."""
        place = self.halls[hall]
        line = place.lines.setdefault(cohort, {})
        epoch = max(line, default=0) + 1
        key = self.key(place.named(cohort, epoch), place.suite, mki=self.mki(place.mki_width), epoch=epoch)
        line[epoch] = key
        self.apply(port.KeyPrepare(conference=hall, cohort=cohort, key=key))
        for name in self.members(hall, cohort) if members is None else members:
            self.tell(name, hall, cohort)
        return key

    def tell(self, name: str, hall: str = "c", cohort: int = 0) -> None:
        """Give a phone the newest group key of its cohort."""
        place, phone = self.halls[hall], self.phones[name]
        epoch = max(place.lines[cohort])
        context = self._context(place.lines[cohort][epoch])
        assert context is not None
        if place.mode == "mki" and phone.keys:
            before = next(iter(phone.keys.values()))
            context.streams, context.roc = before.streams, before.roc
        phone.keys[place.named(cohort, epoch)] = context

    def members(self, hall: str = "c", cohort: int = 0) -> list[str]:
        """Phones of a cohort that hear under a group key, or may."""
        legs = self.show(hall).legs
        return [leg.leg for leg in legs if leg.cohort == cohort and leg.keying in ("group", "bridged")]

    def activate(self, hall: str = "c", *, cohort: int = 0) -> int:
        """Switch to the newest key."""
        place = self.halls[hall]
        place.current[cohort] = max(place.lines[cohort])
        self.apply(port.KeyActivate(conference=hall, cohort=cohort, epoch=place.current[cohort]))
        return place.current[cohort]

    def bridge(self, *legs: str, on: bool = True, hall: str = "c", cohort: int = 0) -> None:
        """Bridge legs, the whole cohort if none is named, or end that."""
        self.apply(port.KeyBridge(conference=hall, cohort=cohort, legs=legs or None, on=on))

    def leave(self, name: str, *, bridge: bool = False) -> port.LegStatus:
        """Remove a leg and its phone."""
        reply = self.apply(port.LegRemove(leg=name, bridge=bridge))
        assert isinstance(reply, port.LegStatus)
        del self.phones[name]
        return reply

    def show(self, hall: str = "c") -> port.ConferenceStatus:
        reply = self.apply(port.ConferenceShow(conference=hall))
        assert isinstance(reply, port.ConferenceStatus)
        return reply

    def status(self, name: str) -> port.LegStatus:
        """Of one leg."""
        return next(leg for hall in self.engine_halls() for leg in self.show(hall).legs if leg.leg == name)

    def engine_halls(self) -> list[str]:
        reply = self.apply(port.ConferenceList())
        assert isinstance(reply, port.ConferenceNames)
        return reply.conferences

    # -- time

    def step(self) -> list[Fanout]:
        """One tick; returns what left."""
        now = self.now_ns + self.tick_ns
        for phone in self.phones.values():
            for octets in phone.talk(now):
                self.net.send(now, octets, phone.address, phone.local)
        self.arrive(self.net.due(now))
        if self.ears is not None:
            where = {phone.address: phone for phone in self.phones.values()}
            for datagram in self.ears.due(now):
                if datagram.source in where:
                    where[datagram.source].receive(datagram.octets, now)
        fanouts = self.engine.tick()
        for fanout in fanouts:
            self._deliver(fanout, now)
        self.events += self.engine.events()
        return fanouts

    def run(self, ms: int) -> None:
        """Many ticks."""
        for _ in range(ms * MS // self.tick_ns):
            self.step()

    def arrive(self, datagrams: list[Datagram]) -> None:
        """Give the engine what the network brought."""
        for start in range(0, len(datagrams), self.batch.rows):
            some = datagrams[start : start + self.batch.rows]
            fill(self.batch, some)
            self.engine.receive(self.batch)

    def inject(self, octets: bytes, source: str, local: int = 0) -> str:
        """One datagram, now; returns its fate."""
        before = self.engine.tally.counts.copy()
        self.arrive([Datagram(self.now_ns, 0, octets, source, local)])
        self.events += self.engine.events()
        (fate,) = np.flatnonzero(self.engine.tally.counts - before)
        return LABELS[int(fate)]

    def _deliver(self, fanout: Fanout, now_ns: int) -> None:
        by_address = {phone.address: phone for phone in self.phones.values()}
        for packet, where, local in zip(fanout.packet.tolist(), fanout.address, fanout.local.tolist(), strict=True):
            octets = fanout.octets[packet, : fanout.length[packet]].tobytes()
            address = addresses.unpack(where)
            self.sent.append(Sent(self.frame, octets, address, local, id(fanout) << 16 | packet))
            if self.ears is not None:
                self.ears.send(now_ns, octets, address)
            elif phone := by_address.get(address):
                phone.receive(octets, now_ns)

    def check_tally(self) -> None:
        """Every datagram has one fate."""
        tally = self.engine.tally
        assert tally.received == tally.accepted + sum(tally.drops().values())

    def named(self, kind: type[Event]) -> list[Any]:
        """The events of one kind."""
        return [event for event in self.events if isinstance(event, kind)]


def fill(batch: Batch, datagrams: list[Datagram]) -> None:
    """Write datagrams into a batch as the shell would; what is too long is cut."""
    batch.count = len(datagrams)
    for row, datagram in enumerate(datagrams):
        octets = datagram.octets[:STRIDE]
        batch.octets[row, : len(octets)] = np.frombuffer(octets, np.uint8)
        batch.length[row] = len(datagram.octets)
        batch.source[row] = addresses.pack(datagram.source)
        batch.local[row] = datagram.local
        batch.arrival[row] = datagram.at_ns
