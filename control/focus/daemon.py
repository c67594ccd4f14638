"""The composition root of `mrfp focus`: a trunk to the mixer, a KMS, rooms, and a SIP agent in front of them."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import structlog

import mixer
from control import kekfile, life, listen
from control.client import MixerClient
from control.focus import media, users
from control.focus.desk import FocusDesk
from control.focus.entry import Entry
from control.focus.errands import Errands
from control.focus.following import Following
from control.focus.house import House
from control.focus.identity import Gate
from control.focus.lobby import Lobby
from control.focus.messages import FOCUS
from control.focus.metrics import FocusCollector
from control.focus.nokeys import NoKeys
from control.focus.patience import mixer_answers
from control.focus.prompts import Prompts
from control.focus.reception import ALLOW, Reception
from control.focus.room import Room
from control.focus.rooms import Rooms
from control.focus.settings import FocusSettings, SettingsError, TrustSettings
from control.focus.switchboard import Switchboard
from control.focus.trunk import Trunk
from control.focus.watchers import Watchers
from control.http import HttpServer
from control.kms import psks
from control.kms.client import KmsClient
from control.messages import NodeStatus
from control.rekey.driver import KeySource, KmsKeys
from control.server import Server
from control.sip.agent import Agent
from mixer.secret import Secret

SUPPORTED = ("100rel", "timer", "norefersub")


@dataclass(frozen=True, slots=True)
class Running:
    """What there is, once it runs."""

    agent: Agent
    rooms: Rooms
    switchboard: Switchboard
    reception: Reception
    watchers: Watchers


def serve(settings: FocusSettings) -> int:
    """Run a focus until SIGTERM or SIGINT; returns the exit status.

    Raises:
        ControlError: if the mixer will not have it; one that does not answer is waited for.
        SettingsError, ListenError, OSError: if it cannot start; the message says why.
    """
    return life.live(settings.log, lambda stop: _serve(settings, stop))


@asynccontextmanager
async def opened(settings: FocusSettings) -> AsyncIterator[Running]:
    """A running focus; leaving hangs up on everybody."""
    async with AsyncExitStack() as stack:
        trunk = Trunk(_mixer(settings))
        stack.push_async_callback(trunk.close)
        await trunk.connect()
        _check_codecs(settings, trunk.node)
        keys, following = _keys(settings, stack), Following(settings.keys.for_life)
        house = House(settings, trunk, keys, has_kms=bool(settings.keys.kms), following=following)
        running = _assembled(settings, house)
        stack.push_async_callback(running.reception.close)
        stack.push_async_callback(running.agent.close)
        stack.push_async_callback(running.rooms.close)
        stack.push_async_callback(running.switchboard.close)
        await running.agent.open()
        ticking = asyncio.create_task(running.watchers.run())
        stack.push_async_callback(_ended, ticking)
        desk = FocusDesk(running.reception, running.rooms, running.switchboard, running.watchers)
        server = Server(FOCUS, lambda _: desk)
        stack.push_async_callback(server.stop)
        await server.listen_unix(settings.control.path())
        if settings.http.port:
            pages = HttpServer(FocusCollector(desk.status), _well)
            stack.push_async_callback(pages.stop)
            await pages.start(settings.http.host, settings.http.port)
        yield running


def _check_codecs(settings: FocusSettings, node: NodeStatus) -> None:
    lacking = media.left_out(settings, node)
    for name in lacking:
        _log.info("codec_left_out", codec=name, reason="the mixer has not got it")
    if len(lacking) == len(settings.media.codecs):
        raise SettingsError(f"the mixer has none of [media] codecs: name some of {', '.join(node.codecs)}")


def _assembled(settings: FocusSettings, house: House) -> Running:
    trust, domain = settings.trust, settings.domain
    passwords, shared = _secrets(trust)
    gate, entry = Gate(trust, domain, passwords), Entry(settings.limits)
    lobby = Lobby(settings.limits, entry, Prompts(house.trunk).say, Errands(house.faults))

    def dress(room: Room) -> None:
        room.complaints.operator, room.changed, room.pressed = switchboard, watchers.changed, lobby.pressed

    def farewell(room: Room) -> None:
        watchers.closing(room)

    rooms = Rooms(house, dress=dress, farewell=farewell)
    watchers = Watchers(settings, entry, rooms, house.faults)
    switchboard = lobby.operator = Switchboard(house, rooms, lobby, shared, domain)
    reception = Reception(settings, gate, entry, rooms, switchboard, watchers, house.faults)
    agent = Agent(settings.sip, reception, allow=ALLOW, supported=SUPPORTED, contact_params=";isfocus")
    switchboard.agent = agent
    return Running(agent, rooms, switchboard, reception, watchers)


def _secrets(trust: TrustSettings) -> tuple[dict[str, Secret], dict[str, Secret]]:
    """The passwords of users, and the keys of those who take keys by MIKEY. Raises `SettingsError`."""
    passwords = users.load(Path(trust.users_file)) if trust.users_file else {}
    return passwords, psks.load(Path(trust.psks_file)) if trust.psks_file else {}


def _mixer(settings: FocusSettings) -> MixerClient:
    chosen = settings.mixer
    files = [Path(name) if name else None for name in (chosen.certificate, chosen.key, chosen.authority)]
    kek = kekfile.choose(Path(chosen.kek_file), chosen.kek or None) if chosen.kek_file else None
    address = chosen.address or f"unix:{listen.find_socket()}"
    return MixerClient(address, certificate=files[0], key=files[1], authority=files[2], kek=kek)


def _keys(settings: FocusSettings, stack: AsyncExitStack) -> KeySource:
    chosen = settings.keys
    if not chosen.kms:
        return NoKeys()
    files = [Path(name) if name else None for name in (chosen.certificate, chosen.key, chosen.authority)]
    client = KmsClient(chosen.kms, certificate=files[0], key=files[1], authority=files[2])
    stack.push_async_callback(client.close)
    return KmsKeys(client)


async def _serve(settings: FocusSettings, stop: asyncio.Event) -> None:
    _secrets(settings.trust)  # what can't be read is told now, and not when a mixer has come
    if not await mixer_answers(lambda: _mixer(settings), stop):
        return
    async with opened(settings) as running:
        life.spare_the_collector()
        listening = {kind: f"{host}:{number}" for kind, (host, number) in running.agent.listening.items()}
        _log.info("serving", version=mixer.__version__, **listening, control=str(settings.control.path()))
        await life.stay(stop, "taking calls")
    _log.info("stopped")


async def _well() -> str:
    """Nothing is wrong: it answers."""
    return ""


async def _ended(task: asyncio.Task[None]) -> None:
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


_log: structlog.typing.FilteringBoundLogger = structlog.get_logger("mrfp.focus")
