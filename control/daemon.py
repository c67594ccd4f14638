"""The composition root: `mrfp serve` puts a mixer behind a control socket and keeps both in order.

Everything starts in one order and stops in the other: the mixer first and last, so that whoever can
reach the control socket reaches a mixer that works, and every leg hears a goodbye.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, Protocol

import msgspec
import structlog

from control import kekfile, life, listen
from control.connection import Limits
from control.director import Director, Mixer
from control.http import of_mixer, ticking
from control.server import ControlServer
from control.settings import Settings
from mixer import port
from mixer.config import MixerConfig


class MixerService(Mixer, Protocol):
    """A mixer with a life of its own: `mixer.service.Service`."""

    async def start(self) -> None:
        """Open the ports and tick."""
        ...

    async def stop(self) -> None:
        """Say goodbye, close the ports."""
        ...


class House:
    """Where everything listens, once it does."""

    def __init__(self, director: Director, control: Path, tls_port: int, http_port: int) -> None:
        self.director = director
        self.control = control
        self.tls_port = tls_port
        """0 if there is no TLS."""
        self.http_port = http_port
        """0 if there is no HTTP."""


def serve(settings: Settings) -> int:
    """Run a mixer until SIGTERM or SIGINT; returns the exit status.

    Raises:
        listen.ListenError, HttpError, OSError: if a port cannot be opened.
        KeyFileError: if the key-encryption keys cannot be had.
    """
    return life.live(settings.log, lambda stop: _serve(settings, stop))


@asynccontextmanager
async def opened(settings: Settings, make: Callable[[MixerConfig], MixerService]) -> AsyncIterator[House]:
    """A running mixer with all its doors; leaving drains it and closes them."""
    keks = kekfile.read(Path(settings.control.kek_file)) if settings.control.kek_file else {}
    async with AsyncExitStack() as stack:
        service = make(settings.mixer)
        await service.start()
        stack.push_async_callback(service.stop)
        stack.callback(service.subscribe(_log_event))
        wanted = settings.control
        server = ControlServer(
            service,
            limits=Limits(clients=wanted.clients, stall_s=wanted.stall_s),
            allowed_uids=wanted.allowed_uids,
            allowed_names=wanted.allowed_names,
            keks=keks,
            require_wrapped=wanted.require_wrapped,
        )
        stack.push_async_callback(server.stop)
        path = Path(wanted.socket) if wanted.socket else listen.default_socket()
        await server.listen_unix(path)
        tls_port = 0
        if wanted.tls_port:
            tls_port = await server.listen_tls(wanted.tls_host, wanted.tls_port, wanted.identity())
        http = of_mixer(server.director)
        stack.push_async_callback(http.stop)
        http_port = await http.start(settings.http.host, settings.http.port) if settings.http.port else 0
        yield House(server.director, path, tls_port, http_port)
        # Before anything closes: legs are told, and controllers may still watch them go.
        await server.director.drain()


async def _serve(settings: Settings, stop: asyncio.Event) -> None:
    from mixer.service import Service  # late: tests of control need no libsrtp and no media port

    async with opened(settings, Service) as house:
        status = house.director.status()
        _log.info(
            "serving",
            version=status.version,
            boot_id=status.boot_id,
            port=status.port,
            granted_rcvbuf=status.granted_rcvbuf,
            control=str(house.control),
            tls_port=house.tls_port,
            http_port=house.http_port,
        )
        await life.stay(stop, f"mixing on UDP port {status.port}", lambda: ticking(house.director))
    _log.info("stopped")


def _log_event(event: port.Event) -> None:
    if isinstance(event, port.Dtmf):  # it may be a PIN
        return
    fields: dict[str, Any] = msgspec.to_builtins(event)
    _log.info(str(fields.pop("event")), **fields)


_log: structlog.typing.FilteringBoundLogger = structlog.get_logger("mrfp")
