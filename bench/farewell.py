"""The second act of the demo: somebody leaves, the key changes, and the proof of what she can still read.

A conference whose keys are made by the real policy: eight members, one of whom leaves with everything she holds and
a tap on her neighbour's line, and one who comes late and has recorded that line from the beginning.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from itertools import pairwise

from bench.member import FOCUS, SUITE, KeyedPhone
from bench.processes import Daemon
from control.rekey.conductor import Conductor, Joiner
from control.rekey.driver import Driver
from control.rekey.keychain import Keychain
from control.rekey.policy import Policy
from control.rekey.settings import RekeySettings
from mixer import port
from mixer.secret import Secret
from mixer.suites import SuiteName

MEMBERS = ("bob", "carol", "dave", "erin", "frank", "grace", "heidi", "mallory")
LATE = "nina"
CONFERENCE = "rekeyed"
QUIET_S = 1.5
"""Between one thing that happens and the next."""


class Dice:
    """A key server in miniature; `mrfp kms` is the grown one."""

    async def make(self, conference: str, cohort: int, epoch: int, suite: SuiteName) -> Secret:
        return Secret(secrets.token_bytes(32))

    async def admit(self, conference: str, member: str) -> None:
        pass

    async def expel(self, conference: str, member: str) -> None:
        pass

    async def close(self, conference: str) -> None:
        """Nothing is kept."""


@dataclass(frozen=True)
class Farewell:
    """What came of it."""

    members: int
    epochs: int
    messages: int
    since_leave: int
    """Packets that a neighbour got after the leave, and how many of them the leaver can read."""
    leaver_reads: int
    before_join: int
    joiner_reads: int
    """The same for what was sent before the late one came."""
    control_reads: int
    """Packets from before the leave that the leaver can read: that she could, were the key the same."""
    unreadable: int
    """Packets that anybody else could not read."""
    gaps: int


async def farewell(mixer: Daemon) -> Farewell:
    """Play it."""
    await mixer.client.call(port.ConferenceCreate(conference=CONFERENCE, keying="group", style="mki"))
    settings = RekeySettings(mode="group", cohort_target=0, t_leave_min=0.2)
    conductor = Conductor(Policy(settings), Keychain(CONFERENCE, SUITE), identity=FOCUS)
    driver = Driver(conductor, mixer.client, Dice(), renew=_never)
    await driver.open("127.0.0.1")
    driving = asyncio.create_task(driver.run())
    phones = {name: await KeyedPhone.open(name, CONFERENCE) for name in (*MEMBERS, LATE)}
    try:
        return await _play(driver, phones)
    finally:
        driving.cancel()
        with suppress(asyncio.CancelledError):
            await driving
        for phone in phones.values():
            phone.close()


async def _play(driver: Driver, phones: dict[str, KeyedPhone]) -> Farewell:
    bob, mallory, nina = phones["bob"], phones["mallory"], phones[LATE]
    for name in MEMBERS:
        _join(driver, phones[name])
    await asyncio.sleep(2 * QUIET_S)
    driver.leave(mallory.leg)
    left = len(bob.arrived)
    await asyncio.sleep(QUIET_S)
    came = len(bob.arrived)
    _join(driver, nina)
    await asyncio.sleep(QUIET_S)
    stayed = [phone for name, phone in phones.items() if name != "mallory"]
    return Farewell(
        members=len(stayed),
        epochs=len({mki for _, mki, _ in bob.read if not mki[0] & 0x80}),
        messages=driver.conductor.counts.messages,
        since_leave=len(bob.arrived) - left - 1,
        leaver_reads=mallory.reads(bob.arrived[left + 1 :]),  # one may have been on its way
        before_join=came,
        joiner_reads=nina.reads(bob.arrived[:came]),
        control_reads=mallory.reads(bob.arrived[:left]),
        unreadable=sum(phone.refused for phone in stayed),
        gaps=sum(_gaps(phone) for phone in stayed),
    )


def _join(driver: Driver, phone: KeyedPhone) -> None:
    driver.join(phone.joiner(), phone.key_address)


def _gaps(phone: KeyedPhone) -> int:
    """Breaks of SSRC or sequence in what a member heard."""
    names = [(clear[8:12], int.from_bytes(clear[2:4])) for _, _, clear in phone.read]
    return sum(a[0] != b[0] or b[1] - a[1] & 0xFFFF != 1 for a, b in pairwise(names))


async def _never(names: Iterable[str]) -> list[Joiner]:
    """The demo's mixer does not restart."""
    return []


def report(found: Farewell, say: Callable[[str], None] = print) -> list[str]:
    """Print what came of it; returns what was untrue."""
    say(f"\nConference {CONFERENCE!r}: one leaves with her keys and a tap on her neighbour's line, one comes late")
    say(f"  group keys    {found.epochs} epochs for {found.members} members, {found.messages} key messages")
    say(f"  the leaver    reads {found.leaver_reads} of {found.since_leave} packets sent since")
    say(f"                (and {found.control_reads} of those before: the tap works)")
    say(f"  the late one  reads {found.joiner_reads} of {found.before_join} packets sent before")
    say(f"  all others    missed nothing: {found.unreadable} packets unreadable, {found.gaps} gaps")
    untrue = []
    if found.leaver_reads or not found.since_leave:
        untrue.append("who left can read what was sent afterwards")
    if found.joiner_reads or not found.before_join:
        untrue.append("who came late can read what was sent before")
    if not found.control_reads:
        untrue.append("the tap of who left never read anything: nothing is proved")
    if found.unreadable or found.gaps:
        untrue.append("somebody lost packets when the key changed")
    if found.epochs < 3:
        untrue.append(f"only {found.epochs} group keys were used")
    return [f"{CONFERENCE}: {problem}" for problem in untrue]
