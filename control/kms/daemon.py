"""The composition root of `mrfp kms`: files, a service, and its doors, opened in one order and closed in the other."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeAlias

import structlog

import mixer
from control import life
from control.connection import Limits
from control.kms import psks
from control.kms.audit import Audit
from control.kms.callers import Roles
from control.kms.desk import KmsDesk
from control.kms.floors import FileFloors
from control.kms.limits import RateLimits
from control.kms.lines import make_directory
from control.kms.messages import KMS
from control.kms.registry import Registry
from control.kms.service import Authority, KmsService
from control.kms.settings import KmsSettings
from control.server import Server
from control.tomlfile import SettingsError
from mixer.secret import Secret

SWEEP_S: Final = 5.0
"""Between two looks for keys whose time is over."""

MakeAuthority: TypeAlias = Callable[[KmsService, Callable[[str], Secret | None]], Authority]
"""Makes the MIKEY-TICKET side out of a service (`may_request`, `may_resolve`) and the shared keys by identity."""


@dataclass(frozen=True, slots=True)
class House:
    """Where everything listens, once it does."""

    service: KmsService
    socket: Path
    tls_port: int
    """0 if there is no TLS."""


def serve(settings: KmsSettings, make_authority: MakeAuthority | None = None) -> int:
    """Run a KMS until SIGTERM or SIGINT; returns the exit status.

    Raises:
        listen.ListenError, lines.LineFileError, SettingsError: if it cannot start; the message says why.
    """
    return life.live(settings.log, lambda stop: _serve(settings, make_authority, stop))


@asynccontextmanager
async def opened(settings: KmsSettings, make_authority: MakeAuthority | None = None) -> AsyncIterator[House]:
    """A running KMS with all its doors; leaving closes them and wipes every key."""
    async with AsyncExitStack() as stack:
        service = _service(settings, stack)
        service.authority = _authority(settings, service, make_authority)
        service.note("kms.start")
        stack.callback(service.note, "kms.stop")
        stack.callback(service.registry.wipe)
        systems, _ = settings.roles.identities()
        wanted = settings.listen
        server = Server(
            KMS,
            lambda peer: KmsDesk(service, peer),
            limits=Limits(clients=wanted.clients, per_peer=wanted.per_peer, stall_s=wanted.stall_s),
            allowed_uids=settings.roles.uids(),
        )
        stack.push_async_callback(server.stop)
        await server.listen_unix(wanted.path())
        tls_port = 0
        if wanted.tls_port:
            tls_port = await server.listen_tls(wanted.tls_host, wanted.tls_port, wanted.identity())
        if not systems:
            _log.warning("no_conference_systems")
        sweeping = asyncio.create_task(_sweep(service))
        stack.push_async_callback(_ended, sweeping)
        yield House(service, wanted.path(), tls_port)


def _service(settings: KmsSettings, stack: AsyncExitStack) -> KmsService:
    directory = settings.state.directory_path()
    make_directory(directory)
    floors = FileFloors(directory / "epochs.log")
    stack.callback(floors.close)
    boot_id = secrets.token_hex(8)
    audit = Audit(boot_id, settings.state.audit_path())
    stack.callback(audit.close)
    service = KmsService(
        Registry(floors, settings.limits.bounds()),
        audit,
        Roles(*settings.roles.identities()),
        RateLimits(*settings.limits.rates()),
        boot_id=boot_id,
    )
    if audit.cut:
        service.note("audit.cut", f"{audit.cut} octets of an unfinished line were cut off the end")
    return service


def _authority(settings: KmsSettings, service: KmsService, make: MakeAuthority | None) -> Authority | None:
    if not settings.mikey.psks:
        return None
    if make is None:
        raise SettingsError("[mikey] psks: this KMS is built without MIKEY-TICKET; leave the option out")
    return make(service, psks.load(Path(settings.mikey.psks)).get)


async def _serve(settings: KmsSettings, make_authority: MakeAuthority | None, stop: asyncio.Event) -> None:
    async with opened(settings, make_authority) as house:
        _log.info(
            "serving",
            version=mixer.__version__,
            boot_id=house.service.boot_id,
            socket=str(house.socket),
            tls_port=house.tls_port,
        )
        await life.stay(stop, "managing keys")
    _log.info("stopped")


async def _sweep(service: KmsService) -> None:
    while True:
        await asyncio.sleep(SWEEP_S)
        service.sweep()


async def _ended(task: asyncio.Task[None]) -> None:
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


_log: structlog.typing.FilteringBoundLogger = structlog.get_logger("mrfp.kms")
