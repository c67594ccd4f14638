"""A shell that was late: what it read too early or too late by its own fault is not taken for jitter of the network."""

from __future__ import annotations

import pytest

from tests.mixer.net import MS, Datagram
from tests.mixer.phone import Phone, tone
from tests.mixer.room import Room

STALL = 5
"""Ticks."""
CALM_MS = 1000

codecs = pytest.mark.parametrize("codec", ["PCMU", "G722"])


def pair(codec: str) -> tuple[Room, list[Phone]]:
    room = Room()
    room.create("unique")
    phones = [room.join(name, tone(hertz), codec=codec) for name, hertz in (("ann", 437.0), ("bob", 1013.0))]
    room.run(CALM_MS)
    return room, phones


def delays(room: Room) -> list[int]:
    return [leg.delay_ms for leg in room.show().legs]


def said(room: Room, phones: list[Phone], ticks: int) -> list[Datagram]:
    """All that is sent during some ticks, with the times at which it arrives: just before the end of each."""
    return [
        Datagram(at - MS, number, octets, phone.address, phone.local)
        for number, at in enumerate(room.now_ns + room.tick_ns * n for n in range(1, ticks + 1))
        for phone in phones
        for octets in phone.talk(at)
    ]


def tick(room: Room, ticks: int) -> None:
    for _ in range(ticks):
        room.engine.tick()


@codecs
def test_a_shell_that_catches_up_changes_no_delay(codec: str) -> None:
    room, phones = pair(codec)
    before = delays(room)
    room.arrive(said(room, phones, STALL))
    tick(room, STALL)
    for _ in range(50):
        room.step()
        assert delays(room) == before
    assert all(leg.concealed_ms == 0 and leg.late == 0 for leg in room.show().legs)


@codecs
def test_what_the_shell_kept_back_is_heard_and_costs_no_delay_a_second_later(codec: str) -> None:
    room, phones = pair(codec)
    before = delays(room)
    come = said(room, phones, STALL)
    tick(room, STALL)
    room.arrive(come)
    room.step()
    assert min(delays(room)) >= min(before) + 60, "what was said is to be heard"
    room.run(1000)
    assert max(delays(room)) <= max(before) + 20
    assert room.engine.tally.drops().get("late", 0) == 0


@codecs
def test_ticks_that_are_given_up_cost_no_delay_a_second_later(codec: str) -> None:
    room, phones = pair(codec)
    before = delays(room)
    come = said(room, phones, STALL)
    room.engine.skip(STALL)
    for phone in phones:
        phone.born_ns -= STALL * room.tick_ns  # the world went on, the engine's clock did not
    room.arrive([Datagram(d.at_ns - STALL * room.tick_ns, d.number, d.octets, d.source, d.local) for d in come])
    room.step()
    assert min(delays(room)) >= min(before) + 60
    room.run(1000)
    assert max(delays(room)) <= max(before) + 20
    assert all(leg.concealed_ms == 0 and leg.late == 0 for leg in room.show().legs)


def test_a_clock_that_was_set_is_not_believed() -> None:
    room, phones = pair("PCMU")
    before = delays(room)
    for sign in (1, -1):
        come = said(room, phones, 1)
        room.arrive([Datagram(d.at_ns + sign * 3600_000 * MS, d.number, d.octets, d.source, d.local) for d in come])
        room.engine.tick()
    room.run(200)
    assert delays(room) == before
