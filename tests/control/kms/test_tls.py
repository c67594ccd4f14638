"""Conference systems and members on other machines: mutual TLS 1.3, and a name that counts."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from control import listen
from control.kms import daemon
from control.kms.client import ControlError, Disconnected, KmsClient, Refusal
from control.kms.settings import KmsSettings, ListenSettings, RoleSettings, StateSettings
from tests.control.test_tls import Authority


@asynccontextmanager
async def serving(path: Path, identity: listen.Identity) -> AsyncIterator[str]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        tls_port = free.getsockname()[1]
    settings = KmsSettings(
        listen=ListenSettings(
            socket=str(path / "run" / "kms.sock"),
            tls_host="127.0.0.1",
            tls_port=tls_port,
            certificate=str(identity.certificate),
            key=str(identity.key),
            authority=str(identity.authority),
        ),
        roles=RoleSettings(systems=("focus",)),
        state=StateSettings(directory=str(path / "state")),
    )
    async with daemon.opened(settings) as house:
        yield f"tls://localhost:{house.tls_port}"


def client(address: str, identity: listen.Identity) -> KmsClient:
    return KmsClient(address, certificate=identity.certificate, key=identity.key, authority=identity.authority)


async def test_the_name_in_the_certificate_decides(tmp_path: Path) -> None:
    ours = Authority(tmp_path, "ours")
    async with serving(tmp_path, ours.issue("localhost")) as address:
        async with client(address, ours.issue("focus")) as focus, client(address, ours.issue("alice")) as alice:
            await focus.register("room", ["alice"])
            made = await focus.create_epoch("room", epoch=1)
            assert (await alice.fetch_epoch("room", epoch=1)).secret == made.secret
            for refused in (
                alice.create_epoch("room", epoch=1),
                alice.register("attic"),
                alice.info(),
                alice.audit(),
                focus.audit(),
                focus.fetch_epoch("room", epoch=1),
            ):
                with pytest.raises(ControlError) as error:
                    await refused
                assert error.value.refusal is Refusal.NOT_AUTHORISED
        async with client(address, ours.issue("bob")) as bob:
            with pytest.raises(ControlError) as error:
                await bob.fetch_epoch("room", epoch=1)
            assert error.value.refusal is Refusal.NOT_AUTHORISED


async def test_a_certificate_with_the_name_of_a_uid_is_nobody(tmp_path: Path) -> None:
    ours = Authority(tmp_path, "ours")
    async with serving(tmp_path, ours.issue("localhost")) as address:
        async with client(address, ours.issue("focus")) as focus:
            await focus.register("room", ["uid:0"])
            await focus.create_epoch("room", epoch=1)
        async with client(address, ours.issue("uid:0")) as pretender:
            with pytest.raises(ControlError):
                await pretender.fetch_epoch("room", epoch=1)
            with pytest.raises(ControlError):
                await pretender.audit()


async def test_a_stranger_s_certificate_is_refused_whatever_its_name(tmp_path: Path) -> None:
    ours, theirs = Authority(tmp_path, "ours"), Authority(tmp_path, "theirs")
    async with serving(tmp_path, ours.issue("localhost")) as address:
        with pytest.raises(Disconnected):
            async with client(address, theirs.issue("focus", trusts=ours)) as stranger:
                await stranger.info()
        with pytest.raises(Disconnected, match="needs a certificate"):
            await KmsClient(address).connect()
        async with client(address, ours.issue("focus")) as focus:
            assert (await focus.info()).refused == 0


async def test_a_false_kms_is_not_trusted(tmp_path: Path) -> None:
    ours, theirs = Authority(tmp_path, "ours"), Authority(tmp_path, "theirs")
    async with serving(tmp_path, theirs.issue("localhost", trusts=ours)) as address:
        with pytest.raises(Disconnected, match="no KMS answers"):
            await client(address, ours.issue("focus")).connect()
