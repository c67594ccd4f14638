"""A conference of the real mixer and who sits in it: a leg, a wire to it, and foreign programs at its end."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from control.client import MixerClient
from mixer import port
from mixer.suites import SuiteName
from tests.interop.keys import CM_80, Fresh, fresh
from tests.interop.programs import RECORDED, Listener, ffmpeg_listener, ffmpeg_sender, gst_listener, gst_speaker
from tests.interop.wire import Address, Wire, open_wire
from tests.tones import Samples

Program = Literal["ffmpeg", "gstreamer"]


@dataclass
class Seat:
    """One leg. `listener` is None if nobody listens there."""

    wire: Wire
    listener: Listener | None


@dataclass
class Stage:
    """One conference."""

    folder: Path
    mixer: MixerClient
    media: Address
    group: Fresh | None
    stack: AsyncExitStack
    seats: dict[str, Seat] = field(default_factory=dict)
    conference: str = "stage"
    _ssrcs: Any = field(default_factory=lambda: itertools.count(0xF0000001))

    async def seat(
        self,
        leg: str,
        program: Program = "ffmpeg",
        codec: port.CodecName = "PCMU",
        *,
        hertz: int = 0,
        hears: bool = True,
        recorded: int = RECORDED,
        suite: SuiteName = CM_80,
        up: Fresh | None = None,
        down: Fresh | None = None,
        **fields: Any,
    ) -> Seat:
        """Add a leg that says `hertz`, if not 0, and hears, unless that is denied.

        Args:
            recorded: Hz of the recording.
            up: what the client says under, if that is not what the mixer was told; down: what it listens with.
            fields: more of `LegAdd`.
        """
        rx, tx = fresh(suite), fresh(suite)
        grouped = self.group is not None and fields.get("keying") != "unique"
        ear = down or (self.group if grouped else None) or tx
        ssrc = next(self._ssrcs)
        listener = None
        if hears:
            listener = await self.stack.enter_async_context(self._listen(program, leg, codec, ear, recorded))
        wire = await self.stack.enter_async_context(open_wire(self.media, listener.port if listener else None))
        usual: dict[str, Any] = {"rx": rx.port(), "remote": wire.remote}
        usual |= {"direction": "sendrecv" if hertz else "recvonly"}
        usual |= ({"ssrc": ssrc} if hertz else {}) | ({} if grouped else {"tx": tx.port()}) | fields
        await self.mixer.call(port.LegAdd(conference=self.conference, leg=leg, codec=codec, **usual))
        if hertz:
            await self.stack.enter_async_context(self._say(program, leg, codec, up or rx, wire, hertz, ssrc))
        self.seats[leg] = Seat(wire, listener)
        return self.seats[leg]

    async def stop(self) -> dict[str, Samples]:
        """End the recordings: what each leg heard."""
        return {leg: await seat.listener.stop() for leg, seat in self.seats.items() if seat.listener}

    def _listen(
        self, program: Program, leg: str, codec: str, key: Fresh, rate: int
    ) -> contextlib.AbstractAsyncContextManager[Listener]:
        if program == "ffmpeg":
            return ffmpeg_listener(self.folder, f"{leg}-hears", codec, key.suite, key.octets, rate)
        return gst_listener(self.folder, f"{leg}-hears", [key.gst()], codec=codec, rate=rate)

    def _say(
        self, program: Program, leg: str, codec: str, key: Fresh, wire: Wire, hertz: int, ssrc: int
    ) -> contextlib.AbstractAsyncContextManager[Any]:
        name, to = f"{leg}-says", wire.inner
        if program == "ffmpeg":
            return ffmpeg_sender(
                self.folder, name, to, hertz=hertz, codec=codec, suite=key.suite, key=key.octets, ssrc=ssrc
            )
        return gst_speaker(self.folder, name, to, key.gst(), hertz=hertz, codec=codec, ssrc=ssrc)


@contextlib.asynccontextmanager
async def stage(
    folder: Path, mixer: MixerClient, media: Address, group: Fresh | None = None, **fields: Any
) -> AsyncIterator[Stage]:
    """A new conference: of style `ssrc` under that group key if there is one; `fields` are more of it."""
    if group is not None:
        fields |= {"keying": "group", "style": "ssrc", "key": group.port()}
    await mixer.call(port.ConferenceCreate(conference=Stage.conference, **fields))
    async with AsyncExitStack() as stack:
        yield Stage(folder, mixer, media, group, stack)
