"""What is said to Janus: its JSON API, on the Unix socket of one packet a message.

Knows: requests and replies. Must never know: what a measurement is.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import socket
from pathlib import Path
from typing import Any, Final, TypeAlias

from bench.plan import Plan
from bench.processes import BenchError

Message: TypeAlias = dict[str, Any]

PLUGIN: Final = "janus.plugin.audiobridge"
PREBUFFER: Final = 2
"""Packets that a participant's queue waits for. Six are usual; with two its latency is comparable with ours."""

_CODECS: Final = {"PCMU": "pcmu", "PCMA": "pcma", "opus": "opus"}
_LARGEST: Final = 1 << 20


class JanusError(BenchError):
    """Janus refused, or is silent; the message says what it was asked."""


def create(room: int, plan: Plan) -> Message:
    """A room for plain RTP participants, at the rate of the plan's mix."""
    return {
        "request": "create",
        "room": room,
        "sampling_rate": plan.mix_rate,
        "allow_rtp_participants": True,
        "default_prebuffering": PREBUFFER,
        "audiolevel_ext": False,
        "audiolevel_event": False,
    }


def join(room: int, leg: int, plan: Plan, heard_at: int) -> Message:
    """A participant of a room: one leg of the plan, at its own address.

    Raises:
        JanusError: the AudioBridge has no such codec.
    """
    if plan.codec not in _CODECS:
        raise JanusError(f"Janus has no {plan.codec} for plain RTP: choose {', '.join(_CODECS)}")
    rtp = {"ip": plan.address(leg), "port": heard_at, "payload_type": plan.coder.payload_type}
    message: Message = {"request": "join", "room": room, "id": leg + 1, "codec": _CODECS[plan.codec], "rtp": rtp}
    if plan.codec == "opus":
        # As much work for each packet as our own encoder is asked for.
        message |= {"bitrate": plan.bitrate, "quality": plan.complexity, "expected_loss": 10}
    return message


def port_of(joined: Message) -> int:
    """Where Janus awaits what the participant sends.

    Raises:
        JanusError: if this is no answer to a `join`.
    """
    try:
        return int(joined["rtp"]["port"])
    except (KeyError, TypeError, ValueError):
        raise JanusError(f"Janus let a participant join without a port for RTP: {joined}") from None


class Connection:
    """A connection, with one session. Events that nobody waits for are dropped."""

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._socket.setblocking(False)
        self._number = itertools.count(1)
        self._waiting: dict[str, asyncio.Future[Message]] = {}
        self._reader: asyncio.Task[None] | None = None
        self._session = 0

    async def open(self, path: Path) -> None:
        """Connect, and begin a session.

        Raises:
            OSError: nobody listens there.
        """
        loop = asyncio.get_running_loop()
        await loop.sock_connect(self._socket, str(path))
        self._reader = asyncio.create_task(self._read())
        self._session = (await self._ask({"janus": "create"}))["data"]["id"]

    async def attach(self) -> int:
        """A handle to the AudioBridge: one a participant."""
        return int((await self._ask({"janus": "attach", "plugin": PLUGIN}))["data"]["id"])

    async def call(self, handle: int, body: Message) -> Message:
        """Say something to the AudioBridge on a handle; returns its own answer.

        Raises:
            JanusError: if it refuses.
        """
        reply = await self._ask({"janus": "message", "handle_id": handle, "body": body})
        data: Message = reply.get("plugindata", {}).get("data", {})
        if "error" in data:
            raise JanusError(f"Janus refused {body['request']}: {data['error']}")
        return data

    async def close(self) -> None:
        """Hang up. Rooms stay until Janus ends."""
        if self._reader:
            self._reader.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._reader
        self._socket.close()

    async def _ask(self, message: Message) -> Message:
        transaction = str(next(self._number))
        reply = asyncio.get_running_loop().create_future()
        self._waiting[transaction] = reply
        message = message | {"transaction": transaction}
        if self._session:
            message["session_id"] = self._session
        await asyncio.get_running_loop().sock_sendall(self._socket, json.dumps(message).encode())
        try:
            answer: Message = await asyncio.wait_for(reply, 20)
        except TimeoutError:
            raise JanusError(f"Janus did not answer {message['janus']!r} within 20 s") from None
        finally:
            del self._waiting[transaction]
        if answer["janus"] == "error":
            raise JanusError(f"Janus refused {message['janus']!r}: {answer['error'].get('reason')}")
        return answer

    async def _read(self) -> None:
        loop = asyncio.get_running_loop()
        while octets := await loop.sock_recv(self._socket, _LARGEST):
            message = json.loads(octets)
            waiting = self._waiting.get(message.get("transaction", ""))
            # An "ack" only says that the answer will come as an event.
            if waiting and not waiting.done() and message["janus"] != "ack":
                waiting.set_result(message)
