"""What it costs to deliver a key by SIP: a real focus, real members, and every message over UDP.

Knows: `mrfp focus` in this thread, a mixer and a KMS in processes of their own, and phones in another thread. Must
never know: what the keys protect; the phones are on hold, so that nothing but signalling is measured.

    reinvite   an SDES phone: re-INVITE with the key in SDP, 200 with an answer, ACK
    info       an endpoint with MIKEY: INFO with a MIKEY message, 200 with its word that it has the key

What the focus does is all of it: policy, KMS, commands to the mixer and the roster are shared by a rekey's deliveries.
"""

from __future__ import annotations

import asyncio
import base64
import secrets
import tempfile
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from time import thread_time_ns
from typing import Final

from bench.house import kms
from bench.processes import daemon
from bench.rekey.cpu import Cpu, spread
from bench.rekey.phones import Phones
from bench.rekey.stage import UDP_IP, ChannelError
from control.focus.daemon import Running, opened
from control.focus.settings import (
    ControlSettings,
    FocusSettings,
    KeysSettings,
    MediaSettings,
    MixerSettings,
    RoomSettings,
    TrustSettings,
)
from control.rekey.settings import RekeySettings
from control.sip.flows import Flow
from control.sip.settings import SipSettings
from mixer.port import SwitchStyle
from mixer.secret import Secret

HOST: Final = "127.0.0.1"
_SETTLE_S: Final = 0.3
"""For what follows the last answer: the mixer switches, and old keys go."""
_PATIENCE_S: Final = 20.0


class Tap:
    """Every message of the focus, in both directions: counted, measured, not changed."""

    def __init__(self, running: Running) -> None:
        self.answered = 0
        """Keys that members have said yes to."""
        self.sizes: dict[bytes, int] = {}
        """Octets of the last message, by its first word or, of an answer, the method of its CSeq in lower case."""
        self._wanted, self._there = 0, asyncio.Event()
        layer = running.agent.core.layer
        self._send, self._receive = layer.send, layer.receive
        layer.send, layer.receive = self._sent, self._received  # type: ignore[method-assign]

    async def wait(self, answers: int) -> None:
        """Until so many have come. Raises `ChannelError` if they do not."""
        self._wanted = answers
        self._there.clear()
        try:
            async with asyncio.timeout(_PATIENCE_S):
                await self._there.wait()
        except TimeoutError:
            raise ChannelError(f"{self._wanted} members were to take a key, {self.answered} did") from None

    def _sent(self, flow: Flow, octets: bytes) -> bool:
        self.sizes[octets[: octets.index(b" ")]] = len(octets)
        return self._send(flow, octets)

    def _received(self, octets: bytes, flow: Flow) -> None:
        if octets.startswith(b"SIP/2.0 200"):
            for method in (b" INVITE\r\n", b" INFO\r\n"):
                if method in octets:
                    self.sizes[method.strip().lower()] = len(octets)
                    self.answered += 1
        self._receive(octets, flow)
        if self.answered == self._wanted:
            self._there.set()


class Rehearsal:
    """A focus and its phones, and one rekey after another."""

    def __init__(self, tap: Tap, phones: Phones) -> None:
        self.tap = tap
        self._phones = phones

    async def rekey(self) -> tuple[float, float]:
        """A member leaves and all others get a key; us of CPU for each delivery, of the focus and of the member."""
        members = len(self._phones)
        self.tap.answered = 0
        focus_ns, phones_ns = thread_time_ns(), self._phones.cpu_ns()
        leaving = asyncio.ensure_future(self._phones.leave())
        await self.tap.wait(members - 1)
        await leaving
        await asyncio.sleep(_SETTLE_S)
        took = thread_time_ns() - focus_ns, self._phones.cpu_ns() - phones_ns
        await self._phones.join()
        await asyncio.sleep(_SETTLE_S)
        focus_us, phones_us = (ns / 1000 / (members - 1) for ns in took)
        return focus_us, phones_us


@asynccontextmanager
async def rehearsal(members: int, style: SwitchStyle) -> AsyncIterator[Rehearsal]:
    """So many phones in one room; in style `mki` they take keys by MIKEY.

    Raises:
        BenchError: if mixer or KMS do not come up.
    """
    async with AsyncExitStack() as stack:
        home = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="mrfp-bench-")))
        mixer = await stack.enter_async_context(daemon(legs=max(256, 2 * members)))
        _, keys = await stack.enter_async_context(kms(home))
        psks = {f"sip:m{number}@{HOST}": Secret(secrets.token_bytes(16)) for number in range(2 * members)}
        settings = _settings(home, mixer.address, keys, style, psks if style == "mki" else {})
        phones = Phones(psks if style == "mki" else {})
        stack.push_async_callback(phones.close)  # after the focus: it hangs up on them
        running = await stack.enter_async_context(opened(settings))
        tap = Tap(running)
        await phones.open(f"sip:room@{HOST}:{running.agent.listening['udp'][1]}", members)
        await asyncio.sleep(_SETTLE_S)
        yield Rehearsal(tap, phones)


def _settings(home: Path, mixer: str, keys: str, style: SwitchStyle, psks: dict[str, Secret]) -> FocusSettings:
    """A focus that rekeys everybody in one group at once, whenever somebody leaves."""
    file = home / "psks"
    file.touch(0o600)
    file.write_text("".join(f"{name} {base64.b64encode(psk.reveal()).decode()}\n" for name, psk in psks.items()))
    rekey = RekeySettings(cohort_target=0, bridge_max=0, t_leave_min=0.0, t_leave_closing=0.0, admission="current")
    return FocusSettings(
        sip=SipSettings(host=HOST, udp_port=0, tcp_port=-1),
        mixer=MixerSettings(address=mixer),
        keys=KeysSettings(kms=keys),
        trust=TrustSettings(psks_file=str(file)),
        media=MediaSettings(silence_s=0.0),
        control=ControlSettings(socket=str(home / "focus.sock")),
        default_room=RoomSettings(keying="group", style=style, rekey=rekey),
    )


async def measure(style: SwitchStyle, members: int, rekeys: int) -> tuple[Cpu, Cpu, int, int]:
    """CPU of the focus and of the member for each delivery, and the octets that go each way, headers of UDP included.

    Raises:
        BenchError, ChannelError: if it cannot be measured.
    """
    async with rehearsal(members, style) as room:
        await room.rekey()
        runs = [await room.rekey() for _ in range(rekeys)]
        sizes = room.tap.sizes
    focus, member = (spread(list(us)) for us in zip(*runs, strict=True))
    if style == "mki":
        return focus, member, sizes[b"INFO"] + UDP_IP, sizes[b"info"] + UDP_IP
    return focus, member, sizes[b"INVITE"] + sizes[b"ACK"] + 2 * UDP_IP, sizes[b"invite"] + UDP_IP
