"""What it costs the focus to deliver one key to one member and have it acknowledged, channel by channel.

Knows: the focus's own code, a socket on loopback, and members to answer it. Must never know: media.

    compact    measured, but a model: `compact`, with the courier of `mikey`
    mikey      measured: `Conductor`, `Courier` and `Policy` as they are, MIKEY-PSK over UDP
    info       measured: MIKEY-PSK in SIP INFO, and all of a SIP focus (`signalling`)
    reinvite   measured: a SIP re-INVITE with the key in SDP, and all of a SIP focus

What members do is timed apart: a focus does not pay for it.
"""

from __future__ import annotations

import asyncio
import secrets
import statistics
from typing import Literal

import msgspec

from bench.rekey import compact, signalling
from bench.rekey.cpu import Cpu, spread
from bench.rekey.crowd import Crowd
from bench.rekey.stage import UDP_IP, ChannelError, Stage, timed
from control.rekey.courier import Courier
from mixer.port import SwitchStyle

__all__ = ["Channel", "ChannelError", "channels", "mikey", "signalled", "thin"]


class Channel(msgspec.Struct, frozen=True, kw_only=True):
    """One way to deliver keys."""

    name: str
    text: str
    how: Literal["measured", "model"]
    focus: Cpu
    """c_msg: of the focus, for one delivery with its acknowledgement."""
    member: Cpu | None = None
    """Of the member."""
    octets: int
    """Of the message, headers down to IP included."""
    answer_octets: int
    parts: dict[str, float] = {}
    """Where the focus's microseconds go."""


async def mikey(members: int = 256, *, rekeys: int = 9, ratchets: bool = True) -> Channel:
    """The focus as it is.

    Raises:
        ChannelError: if loopback loses a message.
    """
    stage = Stage(members, ratchets=ratchets)
    await stage.open()
    try:
        await stage.rekey()
        runs = [await stage.rekey() for _ in range(rekeys)]
    finally:
        stage.close()
    parts = {part: round(statistics.median(run[part] for run in runs), 2) for part in ("make", "send", "hear")}
    kind = "" if ratchets else ", members who cannot ratchet"
    return Channel(
        name="mikey" if ratchets else "mikey-tek",
        text=f"MIKEY-PSK over UDP{kind}",
        how="measured",
        focus=spread([run["make"] + run["send"] + run["hear"] for run in runs]),
        member=spread([run["member"] for run in runs]),
        octets=stage.octets[0],
        answer_octets=stage.octets[1],
        parts=parts,
    )


async def thin(members: int = 256, *, rekeys: int = 9) -> Channel:
    """The model of a compact channel, through the same courier."""
    crowd, all_heard = Crowd(), asyncio.Event()
    focus = {f"m{number}": compact.End(secrets.token_bytes(16), f"m{number}") for number in range(members)}

    acked: set[str] = set()

    def heard(member: str, octets: bytes) -> None:
        if focus[member].acknowledged(octets) == epoch:
            acked.add(member)
        if len(acked) == members:
            all_heard.set()

    courier = Courier(heard)
    address = await courier.open("127.0.0.1")
    for number, name in enumerate(focus):
        courier.know(name, crowd.address(number))
    runs = []
    try:
        for epoch in range(1, rekeys + 2):
            took: dict[str, float] = {}
            with timed(took, "make"):
                messages = [end.push(bytes(range(32)), 7, epoch, 77, 0) for end in focus.values()]
            with timed(took, "send"):
                for name, octets in zip(focus, messages, strict=True):
                    courier.send(name, octets)
            with timed(took, "member"):
                answers = [end.accept(octets)[1] for end, octets in zip(focus.values(), messages, strict=True)]
            crowd.receive()
            acked.clear()
            for number, answer in enumerate(answers):
                crowd.send(number, answer, address)
            with timed(took, "hear"):
                await all_heard.wait()
                all_heard.clear()
            runs.append({part: used / members for part, used in took.items()})
    finally:
        courier.close()
        crowd.close()
    return _compact_channel(runs[1:])


def _compact_channel(runs: list[dict[str, float]]) -> Channel:
    return Channel(
        name="compact",
        text="compact datagram (model of an in-band channel)",
        how="model",
        focus=spread([run["make"] + run["send"] + run["hear"] for run in runs]),
        member=spread([run["member"] for run in runs]),
        octets=compact.KEY_OCTETS + UDP_IP,
        answer_octets=compact.ACK_OCTETS + UDP_IP,
        parts={part: round(statistics.median(run[part] for run in runs), 2) for part in ("make", "send", "hear")},
    )


async def signalled(style: SwitchStyle, members: int = 256, *, rekeys: int = 9) -> Channel:
    """A SIP focus: by INFO in style `mki`, by re-INVITE in style `ssrc`.

    Raises:
        BenchError, ChannelError: if it cannot be measured.
    """
    focus, member, octets, answer_octets = await signalling.measure(style, members, rekeys)
    return Channel(
        name="info" if style == "mki" else "reinvite",
        text="MIKEY-PSK in SIP INFO" if style == "mki" else "SIP re-INVITE, key in SDP",
        how="measured",
        focus=focus,
        member=member,
        octets=octets,
        answer_octets=answer_octets,
    )


async def channels(*, members: int = 256, rekeys: int = 9) -> list[Channel]:
    """All of them.

    Raises:
        BenchError, ChannelError: if one cannot be measured.
    """
    return [
        await thin(members, rekeys=rekeys),
        await mikey(members, rekeys=rekeys),
        await mikey(members, rekeys=rekeys, ratchets=False),
        await signalled("mki", members, rekeys=rekeys),
        await signalled("ssrc", members, rekeys=rekeys),
    ]
