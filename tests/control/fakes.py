"""A mixer that keeps books and touches no media: what control needs, and what it must survive."""

from __future__ import annotations

import asyncio
import base64
import secrets
from collections.abc import Callable, Mapping

from mixer import port
from mixer.port import PortError, Refusal
from mixer.secret import Secret
from mixer.suites import SUITES


def fresh_key(suite: str = "AES_CM_128_HMAC_SHA1_80", epoch: int = 1, mki: str = "") -> port.Key:
    return port.Key(
        suite=suite,  # type: ignore[arg-type]
        secret=Secret(secrets.token_bytes(SUITES[suite].secret)),  # type: ignore[index]
        epoch=epoch,
        mki=mki,
    )


def spellings(octets: bytes) -> list[bytes]:
    """Every way in which a key might show up in a text."""
    standard = base64.b64encode(octets)
    url = base64.urlsafe_b64encode(octets)
    return [
        octets,
        octets.hex().encode(),
        octets.hex().upper().encode(),
        octets.hex(":").encode(),
        standard.rstrip(b"="),
        url.rstrip(b"="),
        repr(octets)[2:-1].encode(),
    ]


class FakeMixer:
    """Conferences and legs as dicts. `commands` is everything that was applied, in order."""

    def __init__(self) -> None:
        self.conferences: dict[str, port.ConferenceCreate] = {}
        self.legs: dict[str, port.LegAdd] = {}
        self.commands: list[port.Command] = []
        self.subscribers: list[Callable[[port.Event], None]] = []
        self.drained = False
        self.frame = 0
        self.hold: asyncio.Event | None = None
        self.fault: Exception | None = None
        self.extra: dict[str, object] = {}

    async def apply(self, command: port.Command) -> port.Reply:
        if self.hold is not None:
            await self.hold.wait()
        if self.fault is not None:
            raise self.fault
        self.commands.append(command)
        return self._apply(command)

    def subscribe(self, callback: Callable[[port.Event], None]) -> Callable[[], None]:
        self.subscribers.append(callback)
        return lambda: self.subscribers.remove(callback)

    def emit(self, *events: port.Event) -> None:
        for event in events:
            for callback in list(self.subscribers):
                callback(event)

    async def drain(self) -> None:
        self.drained = True

    def info(self) -> Mapping[str, object]:
        return {
            "version": "0.1.0",
            "boot_id": "b00t",
            "frame": self.frame,
            "tick_ms": 20,
            "legs": len(self.legs),
            "conferences": len(self.conferences),
            "port": 40000,
            "received": 1000,
            "accepted": 990,
            "drops": {"auth_failed": 7, "late": 3},
            "encodes": 50,
            "encrypts": 60,
            "packets_sent": 2000,
            "late_ticks": 1,
            "skipped_ticks": 0,
            "lateness_ms": {"p50": 0.1, "p99": 0.9, "max": 4.5},
            "stages_us": {"decrypt": 12.5, "mix": 3.5},
            "granted_rcvbuf": 4_194_304,
            **self.extra,
        }

    def _apply(self, command: port.Command) -> port.Reply:
        match command:
            case port.ConferenceCreate():
                return self._create(command)
            case port.ConferenceList():
                return port.ConferenceNames(conferences=list(self.conferences))
            case port.ConferenceShow():
                self._known(command.conference)
                return self._show(command.conference)
            case port.ConferenceDestroy():
                self._known(command.conference)
                del self.conferences[command.conference]
                self.legs = {n: leg for n, leg in self.legs.items() if leg.conference in self.conferences}
                return port.Done()
            case port.LegAdd():
                return self._add(command)
            case port.LegModify():
                self._leg(command.leg)
                return port.Done()
            case port.LegRemove():
                status = _leg_status(self._leg(command.leg))
                del self.legs[command.leg]
                return status
            case _:
                return self._serve(command)

    def _serve(self, command: port.Command) -> port.Reply:
        """What needs no books."""
        conference = getattr(command, "conference", None)
        if conference is not None:
            self._known(conference)
        if isinstance(command, port.ConferenceLevels):
            return port.Levels(levels=dict.fromkeys(self.legs, -23))
        if isinstance(command, port.KeyPrepare):
            _check(command.key)
        return port.Done()

    def _create(self, command: port.ConferenceCreate) -> port.Done:
        if command.conference in self.conferences:
            raise PortError(Refusal.DUPLICATE_CONFERENCE, f"{command.conference} exists")
        if command.boot not in (None, "b00t"):
            raise PortError(Refusal.BAD_BOOT, "meant for an earlier life of this mixer")
        for key in (command.key, command.uplink_key):
            if key is not None:
                _check(key)
        self.conferences[command.conference] = command
        return port.Done()

    def _add(self, command: port.LegAdd) -> port.LegAdded:
        self._known(command.conference)
        if command.leg in self.legs:
            raise PortError(Refusal.DUPLICATE_LEG, f"{command.leg} exists")
        if command.rx is None and not (command.clear or command.dtls):
            raise PortError(Refusal.KEY_MISSING, "give the leg keys, or say `clear`")
        for key in (command.rx, command.tx):
            if key is not None:
                _check(key)
        self.legs[command.leg] = command
        position = port.StreamPosition(ssrc=0x1234, roc=0, seq=17, payload_type=0)
        return port.LegAdded(leg=command.leg, port=40000, payload_type=0, stream=position)

    def _known(self, conference: str) -> None:
        if conference not in self.conferences:
            raise PortError(Refusal.UNKNOWN_CONFERENCE, f"there is no conference {conference}")

    def _leg(self, leg: str) -> port.LegAdd:
        if leg not in self.legs:
            raise PortError(Refusal.UNKNOWN_LEG, f"there is no leg {leg}")
        return self.legs[leg]

    def _show(self, name: str) -> port.ConferenceStatus:
        made = self.conferences[name]
        legs = [_leg_status(leg) for leg in self.legs.values() if leg.conference == name]
        return port.ConferenceStatus(
            legs_count=len(legs),
            conference=name,
            rate=8000 if made.rate == "auto" else made.rate,
            keying=made.keying,
            style=made.style,
            suite=made.key.suite if made.key else "",
            epoch=made.key.epoch if made.key else 0,
            prepared=[],
            cohorts=[],
            max_talkers=made.max_talkers,
            talkers=[leg.leg for leg in legs[:1]],
            streams=[port.StreamPosition(ssrc=99, roc=0, seq=5, payload_type=0, epoch=1)],
            legs=legs,
        )


def _check(key: port.Key) -> None:
    if len(key.secret) != SUITES[key.suite].secret:
        raise PortError(Refusal.BAD_KEY, f"{key.suite} takes {SUITES[key.suite].secret} octets")
    if key.secret.is_trivial():
        raise PortError(Refusal.BAD_KEY, "all octets of the key are alike")


def _leg_status(leg: port.LegAdd) -> port.LegStatus:
    return port.LegStatus(
        conference=leg.conference,
        leg=leg.leg,
        codec=leg.codec,
        rate=8000,
        ptime=leg.ptime,
        direction=leg.direction,
        keying="clear" if leg.clear else "unique",
        cohort=leg.cohort,
        suite=leg.rx.suite if leg.rx else "",
        epoch=0,
        address=leg.remote or "",
        ssrc=leg.ssrc or 0,
        talking=True,
        muted=leg.mute,
        level_dbov=-23,
        delay_ms=40,
        received=500,
        lost=2,
        jitter_ms=1.5,
        rtt_ms=12.25,
        remote_lost=0,
        remote_jitter_ms=0.5,
        late=1,
        concealed_ms=20,
        auth_failures=0,
        corrupt=0,
        sent=499,
    )


def talking(leg: str = "alice", conference: str = "room", on: bool = True) -> port.Talking:
    return port.Talking(conference=conference, leg=leg, talking=on)
