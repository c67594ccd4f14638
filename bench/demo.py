"""make demo: conferences on loopback, four voices in each, and the proof of who heard whom.

    python -m bench.demo [--out demo-out]

One conference is under a group key, with twenty more who only listen; another gives every leg keys of its
own; of a third, whose keys the rekey policy makes, somebody leaves (`bench.farewell`). Everybody is a
`bench.phone` with its own SRTP. What each heard is written to a WAV file and then judged by content. Exits
with 1, and says why, if anybody missed a voice, heard itself, or reads what it must not.
"""

from __future__ import annotations

import asyncio
import secrets
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from bench import content, demos
from bench.codec import Samples, codec
from bench.farewell import farewell, report
from bench.phone import HearingKey, Keys, Phone, read_wav, write_wav
from bench.processes import Daemon, daemon
from bench.screen import Screen
from control.messages import NodeStatus
from mixer import port
from mixer.secret import Secret
from mixer.suites import SuiteName

SUITE: SuiteName = "AES_CM_128_HMAC_SHA1_80"
RATE = 8000
LISTENERS = 20
STAGGER_S = 4.5
"""A voice begins so long after the one before: under the length of a sentence, so that they overlap."""

TAIL_S = 1.0
_SPEECH = Path(__file__).resolve().parent / "speech"
_WINDOW = RATE // 5
_REACH = RATE * 6 // 100
"""How far a jitter buffer may move a voice from where most of it is, samples."""


@dataclass
class Room:
    """One conference and everybody in it."""

    name: str
    keying: port.Keying
    group: bytes = field(default_factory=lambda: secrets.token_bytes(30), repr=False)
    talkers: list[Phone] = field(default_factory=list)
    listeners: list[Phone] = field(default_factory=list)

    @property
    def everybody(self) -> list[Phone]:
        return self.talkers + self.listeners


@dataclass(frozen=True)
class Heard:
    """What one phone heard, judged by content."""

    name: str
    others_db: dict[str, float]
    """Each other talker's level against what it said."""
    self_db: float | None
    latency_ms: float
    """Median, mouth to ear."""


async def demo(out: Path) -> list[str]:
    """Run it; returns what was untrue."""
    print("Starting the mixer, with one conference under a group key and one under unique keys ...")
    async with daemon(legs=64) as mixer:
        rooms = [Room("group", "group"), Room("unique", "unique")]
        for room in rooms:
            await _furnish(mixer, room)
        screen = Screen(rooms, sys.stdout)
        before, cpu, begin = await mixer.client.node_info(), mixer.child.cpu_ns(), time.monotonic()
        heard_before = _received(rooms[1])
        await _converse(mixer, rooms, screen)
        after = await mixer.client.node_info()
        cpu_us = (mixer.child.cpu_ns() - cpu) / 1000 / (time.monotonic() - begin) / 50
        unique_packets = _received(rooms[1]) - heard_before
        screen.finish()
        print("\nNow somebody leaves, and the key changes ...")
        parting = await farewell(mixer)
    problems = []
    for room in rooms:
        problems += _report(room)
        _save(room, out)
    problems += _costs(rooms, before, after, unique_packets, cpu_us)
    problems += report(parting)
    print(f"\nWhat everybody heard is in {out}/, one WAV file each.")
    for room in rooms:
        for phone in room.everybody:
            phone.close()
    return problems


async def _furnish(mixer: Daemon, room: Room) -> None:
    """Create the conference, its four talkers and, under a group key, twenty listeners."""
    key = port.Key(suite=SUITE, secret=Secret(room.group)) if room.keying == "group" else None
    await mixer.client.call(port.ConferenceCreate(conference=room.name, keying=room.keying, key=key))
    voices = sorted(_SPEECH.glob("*.wav"))
    # The second conference speaks in another order: a leak between the two would be heard.
    for turn, path in enumerate(voices if room.keying == "group" else voices[::-1]):
        speech, _ = read_wav(path)
        pause = np.zeros(int((0.5 + turn * STAGGER_S) * RATE), np.float32)
        room.talkers.append(await _join(mixer, room, path.stem, np.concatenate([pause, speech])))
    for number in range(LISTENERS if room.keying == "group" else 0):
        room.listeners.append(await _join(mixer, room, f"listener-{number + 1:02}", None))


async def _join(mixer: Daemon, room: Room, name: str, said: Samples | None) -> Phone:
    send, own = secrets.token_bytes(30), secrets.token_bytes(30)
    grouped = room.keying == "group"
    keys = Keys(SUITE, [HearingKey(room.group if grouped else own)], b"" if said is None else send)
    phone = await Phone.open(keys, said=said, name=name)
    await mixer.client.call(
        port.LegAdd(
            conference=room.name,
            leg=f"{room.name}/{name}",
            direction="recvonly" if said is None else "sendrecv",
            rx=None if said is None else port.Key(suite=SUITE, secret=Secret(send)),
            tx=None if grouped else port.Key(suite=SUITE, secret=Secret(own)),
            ssrc=None if said is None else phone.ssrc,
            remote=phone.address,
            timeout_s=0,
        )
    )
    return phone


async def _converse(mixer: Daemon, rooms: Sequence[Room], screen: Screen) -> None:
    longest = max(len(phone.said) for room in rooms for phone in room.talkers)
    seconds = longest / RATE + TAIL_S
    drawing = asyncio.create_task(screen.run())
    try:
        await asyncio.gather(*(phone.call(mixer.port, seconds) for room in rooms for phone in room.talkers))
    finally:
        drawing.cancel()


def judge(phone: Phone, talkers: Sequence[Phone]) -> Heard:
    """Look for every talker in what a phone heard."""
    mix = phone.heard()
    law = codec("PCMU")
    found: list[tuple[Samples, content.Found]] = []
    others, late = {}, [np.zeros(0, np.int64)]
    for talker in talkers:
        if talker is phone:
            continue
        said = law.decode(law.encode(talker.said))
        where = _find(mix, said)
        found.append((said, where))
        others[talker.name] = where.gain_db
        times = np.array(phone.heard_ns), np.array(talker.said_ns)
        late.append(content.latencies_ns(where, _WINDOW, law.samples(), *times))
    delays = np.concatenate(late)
    own = _own_voice(phone, content.without(mix, found, _WINDOW)) if len(phone.said) else None
    return Heard(phone.name, others, own, float(np.median(delays)) / 1e6 if len(delays) else 0.0)


def _find(mix: Samples, said: Samples) -> content.Found:
    """Find speech: first where most of it is, then window by window around there.

    A voice resembles itself one pitch period further, so a wide search would go astray.
    """
    size = 1 << int(np.ceil(np.log2(len(mix) + len(said) + 1)))
    product = np.fft.irfft(np.fft.rfft(mix, size) * np.conj(np.fft.rfft(said, size)), size)
    lag = int(np.argmax(product))
    lag -= size if lag > size // 2 else 0
    windows = np.arange(len(mix) // _WINDOW) * _WINDOW
    return content.find(mix, said, window=_WINDOW, earliest=windows - lag - _REACH, reach=2 * _REACH)


def _own_voice(phone: Phone, rest: Samples) -> float:
    """How loud a phone hears itself, up to a second after it spoke."""
    apart_s = (phone.said_ns[0] - phone.heard_ns[0]) / 1e9 if phone.heard_ns else 0.0
    first = round(apart_s * RATE) - RATE // 10
    return content.strongest_db(rest, phone.said, (first, first + RATE * 11 // 10))


def _report(room: Room) -> list[str]:
    """Print who heard whom in a conference; returns what was untrue."""
    problems = []
    names = [phone.name for phone in room.talkers]
    print(f"\nConference {room.name!r}, {room.keying} keys: level of each voice in what each heard")
    print("  " + "".join(f"{title:>14}" for title in ("listener", *names, "latency")))
    rows = [judge(phone, room.talkers) for phone in room.talkers + room.listeners[:1]]
    for row in rows:
        cells = [
            f"{row.others_db[name]:.1f} dB" if name in row.others_db else f"self {row.self_db:.0f}" for name in names
        ]
        print("  " + "".join(f"{cell:>14}" for cell in (row.name, *cells, f"{row.latency_ms:.0f} ms")))
        problems += [f"{room.name}: {problem}" for problem in untrue(row)]
    for phone in room.everybody:
        if phone.refused:
            problems.append(f"{room.name}: {phone.refused} packets to {phone.name} were not authentic")
    return problems


def untrue(row: Heard) -> list[str]:
    """What is wrong with what somebody heard."""
    wrong = [
        f"{row.name} does not hear {name} ({level:.1f} dB)"
        for name, level in row.others_db.items()
        if level < content.HEARD_LIMIT_DB
    ]
    if row.self_db is not None and row.self_db > content.SELF_LIMIT_DB:
        wrong.append(f"{row.name} hears itself, only {-row.self_db:.0f} dB down")
    if not 0 < row.latency_ms < 250:
        wrong.append(f"{row.name} hears the others {row.latency_ms:.0f} ms late")
    return wrong


def _costs(
    rooms: Sequence[Room], before: NodeStatus, after: NodeStatus, unique_packets: int, cpu_us: float
) -> list[str]:
    """Print what it cost; returns what was untrue."""
    ticks = max(1, after.frame - before.frame)
    encrypts, encodes = after.encrypts - before.encrypts, after.encodes - before.encodes
    sent = after.packets_sent - before.packets_sent
    listeners = rooms[0].listeners
    shared, problems = encryptions(listeners)
    legs = sum(len(room.everybody) for room in rooms)
    print("\nCost")
    lines = {
        "packets sent": f"{sent / ticks:.1f} a tick, to {legs} legs",
        "encodes": f"{encodes / ticks:.2f} a tick",
        "encrypts": f"{encrypts / ticks:.2f} a tick, of these {unique_packets / ticks:.2f} under unique keys",
        f"{len(listeners)} listeners": f"{shared:.2f} encrypts a tick, under the group key",
        "CPU": f"{cpu_us / legs:.1f} us a leg and tick, {cpu_us / 200:.1f} % of a core; most of it is "
        "the tick itself and shrinks with the number of legs",
        "mixer late": f"p99 {after.lateness_ms.p99:.2f} ms, {after.late_ticks} ticks over 10 ms",
    }
    for title, text in lines.items():
        print(f"  {title:<14}{text}")
    if after.drops.get("auth_failed"):
        problems.append(f"the mixer found {after.drops['auth_failed']} packets that were not authentic")
    return problems


def encryptions(listeners: Sequence[Phone]) -> tuple[float, list[str]]:
    """How many encryptions a tick made what some listeners got, and what is wrong with that.

    Equal octets under a key are one encryption; packets that only some got (first and last of a call)
    do not count.
    """
    names = set.intersection(*(set(phone.sealed) for phone in listeners))
    distinct = sum(len({phone.sealed[name] for phone in listeners}) for name in names)
    if not names:
        return 0.0, ["the listeners got no packet in common"]
    shared = distinct / len(names)
    return shared, [] if distinct == len(names) else [f"the listeners cost {shared:.2f} encrypts a tick, not 1"]


def _received(room: Room) -> int:
    return sum(phone.received for phone in room.everybody)


def _save(room: Room, out: Path) -> None:
    out.mkdir(parents=True, exist_ok=True)
    for phone in room.everybody:
        write_wav(out / f"{room.name}-{phone.name}.wav", phone.heard(), RATE)


def main() -> int:
    """Run the demo; returns the exit code."""
    about = "Two conferences on loopback, and who heard whom."
    well = "Everybody heard everybody else, nobody heard itself, and who left hears nothing."
    return demos.run(demo, about, "demo-out", well)


if __name__ == "__main__":
    sys.exit(main())
