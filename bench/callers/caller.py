"""Caller: one phone, made of a SIP line and a call at a time.

    alice = await Caller.open("alice", said=tone(440))
    await alice.dial("sip:room@127.0.0.1:5060")
    ...
    await alice.hang_up()
    print(alice.report())

Knows: the order of requests in a call. Must never know: SDP, keys or packets (`call`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Final

import numpy as np

from bench.callers.answering import answer
from bench.callers.call import Call
from bench.callers.lines import Lines, Owner
from bench.callers.options import Options
from bench.callers.report import CallReport, report_of
from bench.callers.watcher import Watcher, watch
from bench.codec import Samples
from control.sdp.model import SdpError
from control.sdp.refusal import Unacceptable
from control.sip.agent import Dialog, Incoming
from control.sip.errors import CallRefused, DialogGone, SipError

__all__ = ["CallRefused", "Caller", "Options"]

PACKAGE: Final = "mrfp-key"
"""The Info-Package of key messages (RFC 6086)."""
ANSWER_S: Final = 10.0


class Caller:
    """One phone. `open` it, `dial`, and look at its `call`."""

    def __init__(self, name: str, lines: Lines, options: Options, *, owns_lines: bool) -> None:
        self.name, self.options = name, options
        self.calls: list[Call] = []
        """All its calls, the current one last."""
        self.answers = True
        """Whether it picks up when it is called."""
        self.lines, self._owns_lines = lines, owns_lines
        self.dialog: Dialog | None = None
        """Of the call, while there is one: for requests that no method here makes."""
        self._settled = asyncio.Event()
        """Not set while its own INVITE waits to be dealt with: what comes in the call waits too."""
        self._turn = asyncio.Lock()
        """One offer at a time, whoever makes it."""
        self._beginning = self._vanished = False
        self._watcher: Watcher | None = None

    @classmethod
    async def open(cls, name: str, *, lines: Lines | None = None, **options: Any) -> Caller:
        """A phone with a line of `lines`, or one of its own; `options` are those of `Options`."""
        chosen = Options(**options)
        own = lines or await Lines.open(chosen.transport, acks=not chosen.habits.never_acks)
        caller = cls(name, own, chosen, owns_lines=lines is None)
        own.connect(caller)
        return caller

    async def close(self) -> None:
        """Hang up if need be, and give the line back."""
        await self.hang_up()
        self.lines.disconnect(self)
        if self._owns_lines:
            await self.lines.close()

    # -- what it is ---------------------------------------------------------------------------

    @property
    def uri(self) -> str:
        """Where it can be called."""
        return self.lines.uri(self.name)

    @property
    def identity(self) -> str:
        """Who it says it is."""
        return f"sip:{self.name}@{self.options.domain}"

    @property
    def call(self) -> Call:
        """The current call, or the last."""
        return self.calls[-1]

    @property
    def in_call(self) -> bool:
        return bool(self.calls) and not self.call.ended and self.call.up_ns > 0

    @property
    def busy(self) -> bool:
        """In a call, or on the way into one."""
        return self._beginning or bool(self.calls and not self.call.ended)

    def heard(self, since_ns: int = 0) -> Samples:
        """What it heard in its last call; nothing, if it has had none."""
        return self.call.media.ear.heard(since_ns) if self.calls else np.zeros(0, np.float32)

    @property
    def arrived_packets(self) -> list[tuple[int, bytes]]:
        """Everything that came to its socket in its last call, as it came: the tap on its line."""
        return self.call.media.ear.arrived

    def reads(self, capture: list[tuple[int, bytes]]) -> int:
        """How many packets of somebody's line it can open with all the keys that it ever had, in all its calls."""
        packets = [packet for _, packet in capture]
        return max((call.keyring.reads(packets) for call in self.calls), default=0)

    def report(self, until_ns: int | None = None) -> CallReport:
        """How its last call is, or was; until then, if that is given."""
        return report_of(self.name, self.call, until_ns)

    # -- what it does -------------------------------------------------------------------------

    async def dial(self, uri: str) -> CallReport:
        """Call somebody; returns when they have answered, and the call is under way.

        Raises:
            CallRefused: with the status.
            SipError: if nobody answers.
            SdpError, Unacceptable: if what they answer cannot be used; it has hung up again.
        """
        call = await self._begin()
        body = call.negotiation.offer() if self.options.offers else b""
        outgoing = self.lines.agent.invite(
            uri, from_uri=self.identity, body=body, headers=self._headers(), credentials=self.options.credentials
        )
        try:
            self.dialog, response = await outgoing.answered()
        except (SipError, asyncio.CancelledError) as error:
            call.end(str(error) or "given up", by_us=True)
            raise
        self.dialog.owner = Owner(self)
        try:
            if body:
                call.answered(response.body, response.headers.get("Mrfp-Member") or "")
            else:
                outgoing.dialog_ack(call.answer(response.body))
                call.up()
        except (SdpError, Unacceptable) as error:
            await self.hang_up(str(error))
            raise
        finally:
            self._settled.set()
        return self.report()

    async def hang_up(self, reason: str = "hung up") -> None:
        """End the call, if there is one; or vanish from it, if that is its habit."""
        dialog, self.dialog = self.dialog, None
        if self.calls:
            self.call.end(reason, by_us=True)
        if dialog is None or dialog.ended:
            return
        if self.options.habits.never_byes:
            self._vanished = True
            return
        try:
            await dialog.request("BYE", timeout_s=ANSWER_S)
        except SipError as error:
            self.call.ended = f"{reason}; {error}"
        dialog.end()

    async def hold(self) -> None:
        """Put the call on hold, as phones without music do: say sendonly, and send nothing. Raises `SipError`."""
        await self._reoffer(lambda call: call.hold(on=True))

    async def resume(self) -> None:
        """Take it back."""
        await self._reoffer(lambda call: call.hold(on=False))

    async def rekey_own(self) -> None:
        """Send under a new key of its own from now on."""
        await self._reoffer(lambda call: call.negotiation.reoffer(fresh_key=True))

    async def subscribe(self, uri: str) -> Watcher:
        """Watch who is in a conference, in place of what it watched before. Raises `CallRefused`, `SipError`."""
        watcher = self._watcher = Watcher()
        await watch(watcher, self.lines.agent, uri, self.identity, self.options.credentials)
        return watcher

    async def _reoffer(self, offer: Callable[[Call], bytes]) -> None:
        if self.dialog is None:
            raise DialogGone(f"{self.name} is not in a call: dial first")
        async with self._turn:  # what the other side offers meanwhile is dealt with before or after
            response = await self.dialog.request("INVITE", body=offer(self.call), timeout_s=ANSWER_S)
            if not 200 <= response.code < 300:
                raise CallRefused(response.code, response.phrase)
            self.call.concluded(response.body)

    async def _begin(self) -> Call:
        if self.busy:
            raise ValueError(f"{self.name} is in a call: hang up first")
        self._settled.clear()
        self._vanished = False
        self._beginning = True
        options = self.options
        try:
            call = await Call.open(options.voice(), options.wishes(), psk=options.psk, habits=options.habits)
        finally:
            self._beginning = False
        self.calls.append(call)
        return call

    def _headers(self) -> list[tuple[str, str]]:
        return [("Recv-Info", PACKAGE)] if self.options.psk is not None else []

    # -- what comes in ------------------------------------------------------------------------

    async def arrived(self, incoming: Incoming) -> None:
        """A request for it."""
        if self._vanished:
            return
        if incoming.dialog is None:
            await self._called(incoming)
            return
        if incoming.method == "NOTIFY" and self._watcher is not None:
            await self._watcher.notified(incoming)
            return
        await self._settled.wait()
        if incoming.method == "BYE":
            self._hung_up_on(incoming)
        else:
            async with self._turn:
                await answer(incoming, self.call)

    def acknowledged(self, dialog: Dialog, body: bytes) -> None:
        """Our 200 has arrived; with the answer, if the offer was in it."""
        if body and dialog is self.dialog:
            try:
                self.call.concluded(body)
            except (SdpError, Unacceptable) as error:
                self.call.end(str(error), by_us=True)

    def failed(self, dialog: Dialog) -> None:
        """The other side does not know the call any more."""
        if dialog is self.dialog:
            self.call.end("the other side has lost the call", by_us=False)
            self.dialog = None

    async def _called(self, incoming: Incoming) -> None:
        if incoming.method != "INVITE":
            incoming.respond(200 if incoming.method == "OPTIONS" else 405)
            return
        if self.busy or not self.answers:
            incoming.respond(486)
            return
        call = await self._begin()
        try:
            body = call.answer(incoming.body) if incoming.body else call.negotiation.offer()
        except (SdpError, Unacceptable) as error:
            call.end(str(error), by_us=True)
            incoming.respond(488)
            return
        self.dialog = incoming.respond(200, body=body)
        if self.dialog is not None:
            self.dialog.owner = Owner(self)
            call.up()
        else:
            call.end("who called has given up", by_us=True)
        self._settled.set()

    def _hung_up_on(self, incoming: Incoming) -> None:
        incoming.respond(200)
        assert incoming.dialog is not None
        incoming.dialog.end()
        if incoming.dialog is self.dialog:
            self.call.end(f"by the other side: {incoming.header('Reason') or 'no reason given'}", by_us=False)
            self.dialog = None
