"""A mixer, a KMS and a focus in front of them, with real sockets, in one process: what a phone dials into."""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
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
port = 0
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


@dataclass
class House:
    """Everything that runs."""

    home: Path
    service: Service
    focus: Running

    @property
    def address(self) -> tuple[str, int]:
        """Where SIP is taken over UDP."""
        return self.focus.agent.listening["udp"]

    def uri(self, room: str) -> str:
        """What to dial."""
        host, number = self.address
        return f"sip:{room}@{host}:{number}"


@asynccontextmanager
async def house(home: Path, more: str = "", *, mixer: str = "") -> AsyncIterator[House]:
    """Run all three; `more` TOML is for the focus, `mixer` for the mixer's own tables."""
    services: list[Service] = []

    def make(config: object) -> Service:
        services.append(Service(config))  # type: ignore[arg-type]
        return services[0]

    logging.getLogger().setLevel(logging.WARNING)
    async with AsyncExitStack() as stack:
        told = mixer_settings.parse(MIXER.format(home=home) + mixer)
        await stack.enter_async_context(mixer_daemon.opened(told, make))
        await stack.enter_async_context(kms_daemon.opened(kms_settings.parse(KMS.format(home=home))))
        settings = focus_settings.parse(merged(FOCUS.format(home=home), more))
        focus = await stack.enter_async_context(focus_daemon.opened(settings))
        yield House(home, services[0], focus)


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
