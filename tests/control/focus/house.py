"""A mixer, a KMS and a focus in front of them, with real sockets, in one process: what a phone dials into."""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, Final

from bench.callers.caller import Caller
from bench.codec import Samples
from control import daemon as mixer_daemon
from control import settings as mixer_settings
from control.focus import daemon as focus_daemon
from control.focus import settings as focus_settings
from control.focus.daemon import Running
from control.kms import daemon as kms_daemon
from control.kms import settings as kms_settings
from mixer.service import Service
from tests import tones

RATE: Final = 8000
MIXER = """
[mixer]
host = "127.0.0.1"
ledger = "{home}/keys.ledger"
[control]
socket = "{home}/control.sock"
"""
KMS = """
[listen]
socket = "{home}/kms.sock"
[state]
directory = "{home}/kms"
"""
FOCUS = """
[sip]
host = "127.0.0.1"
udp_port = 0
tcp_port = 0
[mixer]
address = "unix:{home}/control.sock"
[keys]
kms = "unix:{home}/kms.sock"
[control]
socket = "{home}/focus.sock"
"""


class House:
    """Everything that runs. Each of the three can be stopped and started again."""

    def __init__(self, home: Path, more: str, mixer: str) -> None:
        """`more` TOML is for the focus, `mixer` for the mixer's own tables."""
        self.home, self._more, self._mixer = home, more, mixer
        self.focus: Running
        self.service: Service
        self.kms: kms_daemon.House
        self._port = 0
        self._lives = {"mixer": AsyncExitStack(), "kms": AsyncExitStack(), "focus": AsyncExitStack()}

    async def start(self, *names: str) -> None:
        """Start some of `mixer`, `kms` and `focus`."""
        for name in names:
            await {"mixer": self._start_mixer, "kms": self._start_kms, "focus": self._start_focus}[name]()

    async def stop(self, *names: str) -> None:
        """Stop some of them."""
        for name in names:
            await self._lives[name].aclose()

    async def _start_mixer(self) -> None:
        def make(config: object) -> Service:
            self.service = Service(config)  # type: ignore[arg-type]
            return self.service

        told = merged(MIXER.format(home=self.home), f"[mixer]\nport = {self._port}\n{self._mixer}")
        await self._lives["mixer"].enter_async_context(mixer_daemon.opened(mixer_settings.parse(told), make))
        self._port = self.service.port  # its next life has the same

    async def _start_kms(self) -> None:
        settings = kms_settings.parse(KMS.format(home=self.home))
        self.kms = await self._lives["kms"].enter_async_context(kms_daemon.opened(settings))

    async def _start_focus(self) -> None:
        settings = focus_settings.parse(merged(FOCUS.format(home=self.home), self._more))
        self.focus = await self._lives["focus"].enter_async_context(focus_daemon.opened(settings))

    @property
    def address(self) -> tuple[str, int]:
        """Where SIP is taken over UDP."""
        return self.focus.agent.listening["udp"]

    def uri(self, room: str) -> str:
        """What to dial."""
        host, number = self.address
        return f"sip:{room}@{host}:{number}"

    @property
    def faults(self) -> int:
        """Errors of our own."""
        return self.focus.reception.faults + self.focus.agent.core.faults.total()

    @property
    def left(self) -> dict[str, int]:
        """Whatever a call could leave behind, if there is any."""
        counts = {
            "rooms": len(self.focus.rooms),
            "calls": len(self.focus.switchboard.calls),
            "joining": self.focus.switchboard.joining,
            "alarms": len(self.focus.switchboard.clock),
            "watchers": len(self.focus.watchers),
            "dialogs": len(self.focus.agent.core.dialogs),
            "legs": self.service.engine.legs_count,
            "conferences": self.service.engine.conferences_count,
            "conferences of the KMS": len(self.kms.service.registry),
        }
        return {what: count for what, count in counts.items() if count}

    async def nothing_left(self) -> None:
        """Wait until all is as it was before the first call."""
        try:
            await until(lambda: not self.left, seconds=10.0)
        except TimeoutError:
            raise AssertionError(f"left behind: {self.left}") from None
        assert not self.faults


@asynccontextmanager
async def house(home: Path, more: str = "", *, mixer: str = "") -> AsyncIterator[House]:
    """Run all three; `more` TOML is for the focus, `mixer` for the mixer's own tables."""
    logging.getLogger().setLevel(logging.WARNING)
    here = House(home, more, mixer)
    try:
        await here.start("mixer", "kms", "focus")
        yield here
    finally:
        await here.stop("focus", "kms", "mixer")


def merged(base: str, more: str) -> str:
    """TOML with the options of `more` added to tables that `base` has, and its other tables behind them."""
    tables: dict[str, list[str]] = {}
    for text in (base, more):
        table = ""
        for line in text.splitlines():
            if line.strip().startswith("["):
                table = line.strip()
                tables.setdefault(table, [])
            elif line.strip():
                known = [
                    each for each in tables[table] if each.partition("=")[0].strip() != line.partition("=")[0].strip()
                ]
                tables[table] = [*known, line]
    return "\n".join("\n".join([table, *lines]) for table, lines in tables.items())


async def until(what: Callable[[], object], seconds: float = 20.0) -> None:
    """Wait for something to be so. Polls: what is waited for happens on sockets."""
    async with asyncio.timeout(seconds):
        while not what():
            await asyncio.sleep(0.01)


async def listen(*callers: Caller, seconds: float = 1.5) -> list[Samples]:
    """What each hears from now on, for so long at least."""
    begins = [len(caller.heard()) for caller in callers]
    wanted = round(seconds * RATE)
    await until(lambda: all(len(c.heard()) >= b + wanted for c, b in zip(callers, begins, strict=True)))
    return [caller.heard()[begin:] for caller, begin in zip(callers, begins, strict=True)]


def assert_hears(heard: Samples, present: set[int], absent: set[int], level: float = 0.2) -> None:
    """Tones of `present` are as loud as they were said, those of `absent` 40 dB down."""
    tones.assert_hears(heard.astype(float), present=present, absent=absent, seconds=0.8, sent_db=20 * math.log10(level))


@asynccontextmanager
async def phones(*names_and_tones: tuple[str, int], **options: Any) -> AsyncIterator[list[Caller]]:
    """Callers that each say a tone."""
    async with AsyncExitStack() as stack:
        callers = []
        for name, hz in names_and_tones:
            caller = await Caller.open(name, hz=hz, **options)
            stack.push_async_callback(caller.close)
            callers.append(caller)
        yield callers
