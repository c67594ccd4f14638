"""What the mixer must not let in: wrong keys, clear packets, borrowed SSRCs. And IPv6, which it must."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack

from control.client import MixerClient
from control.messages import NodeInfo
from mixer import port
from tests.interop.conftest import Events
from tests.interop.keys import fresh
from tests.interop.phone import Phone
from tests.interop.wire import Address, open_wire
from tests.tones import assert_hears

TALK_S = 3.5


async def join(
    stack: AsyncExitStack, mixer: MixerClient, media: Address, leg: str, ssrc: int, *, declare: bool = True
) -> Phone:
    """A phone of our own in the conference `room`, under unique keys."""
    up, down = fresh(), fresh()
    wire = await stack.enter_async_context(open_wire(media))
    await mixer.call(
        port.LegAdd(
            conference="room",
            leg=leg,
            rx=up.port(),
            tx=down.port(),
            ssrc=ssrc if declare else None,
            remote=wire.remote,
        )
    )
    return Phone(wire, ssrc, up.context(), down.context())


async def test_ipv6_and_ipv4_hear_each_other(mixer: MixerClient, media: Address, media6: Address) -> None:
    await mixer.call(port.ConferenceCreate(conference="room"))
    async with AsyncExitStack() as stack:
        six = await join(stack, mixer, media6, "six", 6)
        four = await join(stack, mixer, media, "four", 4)
        await asyncio.gather(six.say(440, TALK_S), four.say(1000, TALK_S))
        status = await mixer.call(port.ConferenceShow(conference="room"))
        addresses = {leg.leg: leg.address for leg in status.legs}
    assert addresses == {"six": six.wire.remote, "four": four.wire.remote}
    assert_hears(six.heard(), present={1000}, absent={440})
    assert_hears(four.heard(), present={440}, absent={1000})
    assert not six.refused
    assert not four.refused


async def test_clear_packets_to_a_keyed_leg_are_dropped_and_counted(mixer: MixerClient, media: Address) -> None:
    await mixer.call(port.ConferenceCreate(conference="room"))
    async with AsyncExitStack() as stack:
        honest = await join(stack, mixer, media, "honest", 440)
        careless = await join(stack, mixer, media, "careless", 1000)
        careless.uplink = None
        before = await mixer.call(NodeInfo())
        await asyncio.gather(honest.say(440, TALK_S), careless.say(1000, TALK_S))
        after = await mixer.call(NodeInfo())
        heard = careless.heard()
        silence = honest.heard()
    assert_hears(heard, present={440}, absent={1000})
    assert_hears(silence, present=set(), absent={440, 1000})
    dropped = sum(after.drops.values()) - sum(before.drops.values())
    assert dropped >= 170
    assert after.received == after.accepted + sum(after.drops.values())


async def test_packets_from_a_stranger_never_move_a_leg(mixer: MixerClient, media: Address, events: Events) -> None:
    await mixer.call(port.ConferenceCreate(conference="room"))
    async with AsyncExitStack() as stack:
        victim = await join(stack, mixer, media, "victim", 440)
        friend = await join(stack, mixer, media, "friend", 1000)
        elsewhere = await stack.enter_async_context(open_wire(media))
        stranger = Phone(elsewhere, 440, fresh().context())
        await asyncio.gather(victim.say(440, TALK_S), friend.say(1000, TALK_S), stranger.say(700, TALK_S))
        status = await mixer.call(port.ConferenceShow(conference="room"))
    addresses = {leg.leg: leg.address for leg in status.legs}
    assert addresses["victim"] == victim.wire.remote
    assert not elsewhere.from_mixer
    assert_hears(victim.heard(), present={1000}, absent={440, 700})
    assert_hears(friend.heard(), present={440}, absent={1000, 700})


async def test_the_second_claimant_of_an_ssrc_is_refused_and_the_first_unharmed(
    mixer: MixerClient, media: Address, events: Events
) -> None:
    await mixer.call(port.ConferenceCreate(conference="room"))
    async with AsyncExitStack() as stack:
        owner = await join(stack, mixer, media, "owner", 777)
        thief = await join(stack, mixer, media, "thief", 777, declare=False)
        friend = await join(stack, mixer, media, "friend", 1000)
        await asyncio.gather(owner.say(440, TALK_S), thief.say(700, TALK_S), friend.say(1000, TALK_S))
        conflict = await events.wait_for(port.SsrcConflict)
    assert (conflict.leg, conflict.owner, conflict.ssrc) == ("thief", "owner", 777)
    assert_hears(friend.heard(), present={440}, absent={700, 1000})
    assert_hears(owner.heard(), present={1000}, absent={440, 700})


async def test_a_talker_under_the_group_key_hears_its_minus_mix_on_an_ssrc_of_its_own(
    mixer: MixerClient, media: Address
) -> None:
    """Style `ssrc`: the minus mix comes under the group key too, so only its SSRC keeps key streams apart."""
    group, up, other_up = fresh(), fresh(), fresh()
    await mixer.call(port.ConferenceCreate(conference="room", keying="group", key=group.port()))
    async with AsyncExitStack() as stack:
        wires = [await stack.enter_async_context(open_wire(media)) for _ in range(2)]
        added = [
            await mixer.call(port.LegAdd(conference="room", leg=leg, rx=key.port(), ssrc=ssrc, remote=wire.remote))
            for leg, key, ssrc, wire in (("a", up, 11, wires[0]), ("b", other_up, 22, wires[1]))
        ]
        phones = [
            Phone(wires[0], 11, up.context(), group.context()),
            Phone(wires[1], 22, other_up.context(), group.context()),
        ]
        await asyncio.gather(phones[0].say(440, TALK_S), phones[1].say(1000, TALK_S))
    minus: list[int] = []
    for phone, reply, present, absent in zip(phones, added, (1000, 440), (440, 1000), strict=True):
        assert_hears(phone.heard(), present={present}, absent={absent})
        assert not phone.refused
        others = {packet.ssrc for packet in phone.wire.rtp()} - {reply.stream.ssrc}
        assert len(others) == 1, "one minus stream, beside the common one"
        minus.append(others.pop())
    assert added[0].stream.ssrc == added[1].stream.ssrc
    assert minus[0] != minus[1]
