"""What is written on packets: CSRC lists (RFC 3550), levels out (RFC 6465), claims in (RFC 6464)."""

from __future__ import annotations

import numpy as np
import pytest

from mixer.port import LegRemove, Talking
from tests.mixer.phone import Phone, tone
from tests.mixer.room import MODES, Room

modes = pytest.mark.parametrize("mode", MODES)
FREQUENCIES = {"ann": 437.0, "bob": 1013.0, "cid": 1709.0}
LOUDNESS = {"ann": 8000.0, "bob": 4000.0, "cid": 2000.0}


def talking(mode: str, **fields: object) -> Room:
    room = Room()
    room.create(mode)
    for name, hertz in FREQUENCIES.items():
        room.join(name, tone(hertz, amplitude=LOUDNESS[name]), **fields)  # type: ignore[arg-type]
    room.join("ear", **fields)  # type: ignore[arg-type]
    return room


def csrcs(phone: Phone) -> tuple[int, ...]:
    return phone.heard[-1].packet.csrcs


@modes
@pytest.mark.parametrize("ptime", [10, 20, 60])
def test_csrcs_are_all_talkers_but_oneself_loudest_first(mode: str, ptime: int) -> None:
    room = talking(mode, ptime=ptime)
    room.run(600)
    ssrc = {name: room.phones[name].ssrc for name in FREQUENCIES}
    for name, phone in room.phones.items():
        assert csrcs(phone) == tuple(ssrc[other] for other in FREQUENCIES if other != name)


def test_no_more_than_fifteen_csrcs() -> None:
    """Packets of 60 ms may hold more talkers than a list has room for."""
    room = Room()
    room.create(max_talkers=15)
    phones = [room.join(f"p{n}", tone(300 + 10 * n, amplitude=1000)) for n in range(20)]
    ear = room.join("ear", ptime=60, level_out=3)
    for turn in range(40):
        for n, phone in enumerate(phones):
            phone.voice = tone(300 + 10 * n, amplitude=1000 * (1 + (n + 7 * turn) % 20))
        room.step()
    assert max(len(heard.packet.csrcs) for heard in ear.heard) == 15
    assert all(len(set(heard.packet.csrcs)) == len(heard.packet.csrcs) for heard in ear.heard)


@modes
def test_nobody_is_named_when_nobody_talks(mode: str) -> None:
    room = talking(mode, level_out=5)
    for phone in room.phones.values():
        phone.voice = None
    room.run(200)
    for phone in room.phones.values():
        assert all(heard.packet.csrcs == () and not heard.packet.profile for heard in phone.heard)


@modes
@pytest.mark.parametrize("identifier", [1, 14])
def test_levels_out(mode: str, identifier: int) -> None:
    room = talking(mode, level_out=identifier)
    room.run(600)
    for name, phone in room.phones.items():
        packet = phone.heard[-1].packet
        expected = [
            round(-20 * np.log10(LOUDNESS[other] / np.sqrt(2) / 32767)) for other in FREQUENCIES if other != name
        ]
        levels = packet.levels()[identifier]
        assert len(levels) == len(packet.csrcs)
        assert all(abs(level - wanted) <= 1 for level, wanted in zip(levels, expected, strict=True))
        assert len(phone.heard[-1].samples) == 160


@modes
def test_levels_only_for_who_asked(mode: str) -> None:
    room = talking(mode)
    asked = room.join("asked", level_out=2)
    room.run(500)
    assert set(asked.heard[-1].packet.levels()) == {2}
    assert room.phones["ear"].heard[-1].packet.profile == 0
    assert np.abs(asked.audio(100)).max() > 7000


def test_claimed_silence_is_believed_and_loudness_measured() -> None:
    room = Room()
    room.create()
    liar = room.join("liar", tone(437.0, amplitude=300), level_in=6, phone={"level_in": 6, "claim": 0})
    room.join("loud", tone(1013.0, amplitude=9000), level_in=6, phone={"level_in": 6, "claim": 30})
    ear = room.join("ear")
    room.run(500)
    assert room.show().talkers == ["loud", "liar"], "a claim to be loud moves nobody up"
    liar.claim = 127
    room.run(600)
    assert room.show().talkers == ["loud"]
    assert len(csrcs(ear)) == 1
    liar.claim = 40
    room.run(200)
    assert len(csrcs(ear)) == 2


def test_claims_are_not_read_where_they_were_not_negotiated() -> None:
    room = Room()
    room.create()
    room.join("ann", tone(437.0), phone={"level_in": 6, "claim": 127})
    ear = room.join("ear", level_in=5)
    room.run(300)
    assert len(csrcs(ear)) == 1


@modes
def test_payload_type_and_sizes(mode: str) -> None:
    room = Room()
    room.create(mode)
    ann = room.join("ann", tone(437.0), payload_type=111, codec="L16", phone={"payload_type": 111})
    bob = room.join("bob", tone(1013.0), codec="PCMA", ptime=30)
    room.run(600)
    assert {heard.packet.payload_type for heard in ann.heard} == {111}
    assert {heard.packet.payload_type for heard in bob.heard} == {8}
    assert {len(heard.packet.payload) for heard in ann.heard} == {320}
    assert {len(heard.packet.payload) for heard in bob.heard} == {240}
    assert np.abs(ann.audio(100)).max() > 2500
    assert np.abs(bob.audio(100)).max() > 2500
    assert room.engine.tally.drops() == {}


def test_talking_events_tell_who_and_when() -> None:
    room = talking("unique")
    room.run(300)
    room.phones["bob"].voice = None
    room.run(700)
    told = [(event.leg, event.talking) for event in room.named(Talking)]
    assert sorted(told[:3]) == [("ann", True), ("bob", True), ("cid", True)]
    assert told[3:] == [("bob", False)]
    assert room.show().talkers == ["ann", "cid"]
    levels = {leg.leg: leg.level_dbov for leg in room.show().legs}
    assert abs(levels["ann"] - -15) <= 1
    assert levels["bob"] == levels["ear"] == -127
    room.apply(LegRemove(leg="ann"))
    room.phones.pop("ann")
    room.run(100)
    assert room.show().talkers == ["cid"]
