"""MIKEY-TICKET through a running KMS: ticket request, transfer and resolve, by the rules of its registry."""

from __future__ import annotations

import base64
import os
import secrets
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from control.kms import daemon, tickets
from control.kms.client import KmsClient
from control.kms.settings import KmsSettings, ListenSettings, MikeySettings, StateSettings
from control.mikey.errors import Reported
from control.mikey.ticket_request import Stream, TicketRequester
from control.mikey.ticket_resolve import TicketHolder
from mixer.secret import Secret

ME = f"uid:{os.geteuid()}"
MEMBERS = ("alice", "eve")
NOW = int(time.time())


def fresh(length: int) -> bytes:
    return secrets.token_bytes(length)


@asynccontextmanager
async def kms(home: Path) -> AsyncIterator[tuple[KmsClient, dict[str, Secret]]]:
    """A KMS with a conference of ours, in which alice is a member and eve is not."""
    keys = {name: Secret(fresh(32)) for name in (ME, *MEMBERS)}
    psks = home / "psks"
    psks.touch(mode=0o600)
    psks.write_text("".join(f"{name} {base64.b64encode(key.reveal()).decode()}\n" for name, key in keys.items()))
    settings = KmsSettings(
        listen=ListenSettings(socket=str(home / "kms.sock")),
        state=StateSettings(directory=str(home)),
        mikey=MikeySettings(psks=str(psks)),
    )
    async with daemon.opened(settings, tickets.authority), KmsClient(f"unix:{home / 'kms.sock'}") as client:
        await client.register("room", ["alice"])
        yield client, keys


async def test_a_group_key_by_ticket(tmp_path: Path) -> None:
    async with kms(tmp_path) as (client, keys):
        focus = TicketRequester(keys[ME], identity=ME, kms=tickets.IDENTITY, fresh=fresh)
        grant = focus.granted(await client.mikey(focus.request("room", mki=b"\0\0\1\0", now=NOW)), now=NOW)
        stream = Stream(ssrc=0x11223344, roc=1, seq=7)
        message = focus.transfer(grant, "alice", [stream], "AES_CM_128_HMAC_SHA1_80", now=NOW)
        alice = TicketHolder(keys["alice"], identity="alice", kms=tickets.IDENTITY, fresh=fresh)
        answer = await client.mikey(alice.resolve(message, now=NOW))
        key, confirmation = alice.resolved(answer, now=NOW)
        assert key.srtp_key() == grant.srtp_key("AES_CM_128_HMAC_SHA1_80")
        assert focus.transferred(confirmation)[0] == "alice"


async def test_who_is_no_member_resolves_nothing(tmp_path: Path) -> None:
    async with kms(tmp_path) as (client, keys):
        focus = TicketRequester(keys[ME], identity=ME, kms=tickets.IDENTITY, fresh=fresh)
        grant = focus.granted(await client.mikey(focus.request("room", mki=b"\0\0\1\0", now=NOW)), now=NOW)
        stream = Stream(ssrc=1, roc=0, seq=0)
        message = focus.transfer(grant, "eve", [stream], "AES_CM_128_HMAC_SHA1_80", now=NOW)
        eve = TicketHolder(keys["eve"], identity="eve", kms=tickets.IDENTITY, fresh=fresh)
        answer = await client.mikey(eve.resolve(message, now=NOW))
        with pytest.raises(Reported):
            eve.resolved(answer, now=NOW)
        await client.expel("room", "alice")


async def test_who_is_no_conference_system_gets_no_ticket(tmp_path: Path) -> None:
    async with kms(tmp_path) as (client, keys):
        eve = TicketRequester(keys["eve"], identity="eve", kms=tickets.IDENTITY, fresh=fresh)
        answer = await client.mikey(eve.request("room", mki=b"\0\0\1\0", now=NOW))
        with pytest.raises(Reported):
            eve.granted(answer, now=NOW)
