"""What a leg sends while its key changes: silence, wraps, new SSRCs, latecomers and forgers at the worst moment."""

from __future__ import annotations

import pytest

from mixer.port import ConferenceCreate, Key, KeyAbort, KeyActivate, KeyPrepare, KeyRetire, PortError, Refusal
from tests import naive
from tests.mixer.phone import Phone, tone
from tests.mixer.room import DEFAULT, Room
from tests.mixer.test_engine_legkeys import pair, prepare_rx, refused, switch
from tests.reference.srtp import Context


def activate_rx(room: Room, epoch: int, leg: str = "ann") -> None:
    room.apply(KeyActivate(conference="c", leg=leg, direction="rx", epoch=epoch))


def uplinks(*names: str) -> tuple[Room, list[Phone]]:
    """Legs that send under one key."""
    room = Room()
    room.create("ssrc", "d", uplink=True)
    return room, [room.join(name, tone(437.0), hall="d", uplink="group", declare=True) for name in names]


def received(room: Room, leg: str = "ann") -> int:
    return room.status(leg).received


def test_two_changes_while_a_leg_is_silent() -> None:
    """The rollover counter is the stream's, not a key's: it survives keys that were never used."""
    room, ann = pair(phone={"seq": 65_530})
    ann.voice = None
    for epoch in (2, 3):
        key = prepare_rx(room, epoch)
        activate_rx(room, epoch)
        room.run(2000)
    switch(ann, key)
    ann.voice = tone(437.0)
    before = received(room)
    room.run(200)
    assert received(room) == before + 10


def test_a_key_is_skipped_while_a_leg_is_silent() -> None:
    room, ann = pair(phone={"seq": 65_530})
    ann.voice = None
    prepare_rx(room, 2)
    activate_rx(room, 2)
    room.run(2000)
    switch(ann, prepare_rx(room, 3))
    ann.voice = tone(437.0)
    before = received(room)
    room.run(200)
    assert received(room) == before + 10


@pytest.mark.parametrize("lost", [0, 40])
@pytest.mark.parametrize("mki", ["", "0a"])
def test_the_sequence_wraps_between_activation_and_the_first_packet(mki: str, lost: int) -> None:
    room, ann = pair(rx_mki=mki, phone={"seq": 65_536 - 20})
    key = prepare_rx(room, mki="0b" if mki else "")
    activate_rx(room, 2)
    if lost:
        ann.voice = None
        for _ in range(lost):
            ann.rtp(bytes(160))
        assert ann.uplink is not None
        ann.uplink.protect(ann.rtp(bytes(160)))
        room.run(2000)
        ann.voice = tone(437.0)
    else:
        room.run(300)
    switch(ann, key)
    before = received(room)
    room.run(200)
    assert received(room) == before + 10
    assert room.engine.tally.drops() == {}


@pytest.mark.parametrize("how", ["control", "packet"])
@pytest.mark.parametrize("seq", [1000, 65_530])
def test_a_new_ssrc_under_a_renewed_key(how: str, seq: int) -> None:
    room, ann = pair(phone={"seq": seq})
    switch(ann, prepare_rx(room))
    if how == "control":
        activate_rx(room, 2)
    room.run(1500)
    ann.ssrc, ann.seq = ann.ssrc ^ 1, 9000
    before = received(room)
    room.run(500)
    assert room.status("ann").ssrc == ann.ssrc
    assert received(room) >= before + 24


@pytest.mark.parametrize("own_port", [False, True])
def test_a_forged_report_before_the_activation_spoils_nothing(own_port: bool) -> None:
    room, ann = pair(own_port=own_port)
    key = prepare_rx(room)
    forged = Context(DEFAULT, bytes(range(30))).protect_rtcp(naive.pack_report(ann.ssrc ^ 1))
    assert room.inject(forged, ann.address, ann.local) == "auth_failed"
    activate_rx(room, 2)
    switch(ann, key)
    before = received(room)
    room.run(200)
    assert received(room) == before + 10


def test_a_forged_packet_before_the_activation_spoils_nothing() -> None:
    """It claims to be half a cycle ahead, in the next rollover."""
    room, ann = pair(phone={"seq": 60_000})
    key = prepare_rx(room)
    packet = naive.Rtp(payload_type=0, seq=5, timestamp=1, ssrc=ann.ssrc, payload=bytes(160)).pack()
    assert room.inject(Context(DEFAULT, bytes(range(30))).protect(packet), ann.address) == "auth_failed"
    activate_rx(room, 2)
    switch(ann, key)
    before = received(room)
    room.run(200)
    assert received(room) == before + 10


def test_a_report_long_before_the_activation_spoils_nothing() -> None:
    """An authentic one, in the rollover before."""
    room, ann = pair(phone={"seq": 65_536 - 20})
    key = prepare_rx(room)
    after = Context(key.suite, key.secret.reveal())
    assert room.inject(after.protect_rtcp(naive.pack_report(ann.ssrc)), ann.address) == "accepted"
    room.run(500)
    activate_rx(room, 2)
    switch(ann, key)
    before = received(room)
    room.run(200)
    assert received(room) == before + 10


def test_activated_before_a_leg_that_joins_late_has_spoken() -> None:
    """Its stream has a rollover counter, and neither key has seen its SSRC."""
    room = Room()
    room.create()
    ann = room.join("ann", tone(437.0), roc=3)
    key = room.key("rx:ann/2", epoch=2, roc=3)
    room.apply(KeyPrepare(conference="c", leg="ann", direction="rx", key=key))
    activate_rx(room, 2)
    ann.uplink = Context(key.suite, key.secret.reveal(), roc=3)
    room.run(300)
    assert received(room) == 15


# -- under one key ------------------------------------------------------------------------------


def prepare_uplink(room: Room, epoch: int, mki: str = "") -> Key:
    key = room.key(f"d/uplink/{epoch}", epoch=epoch, mki=mki)
    room.apply(KeyPrepare(conference="d", direction="rx", key=key))
    return key


def test_who_joins_between_prepare_and_activate_follows() -> None:
    room, _ = uplinks("ann")
    room.run(100)
    key = prepare_uplink(room, 2)
    hall = room.halls["d"]
    late = room.join("late", tone(900.0), hall="d", uplink="group", declare=True)
    bold = room.join("bold", tone(900.0), hall="d", uplink="group", declare=True)
    switch(bold, key)
    room.run(100)
    assert received(room, "late") == received(room, "bold") == 5
    room.apply(KeyActivate(conference="d", direction="rx", epoch=2))
    hall.uplink = key
    switch(late, key)
    room.run(100)
    assert received(room, "late") == 10


def test_who_joins_between_prepare_and_activate_does_not_keep_the_old_key() -> None:
    room, _ = uplinks("ann")
    prepare_uplink(room, 2)
    room.join("late", tone(900.0), hall="d", uplink="group", declare=True)
    room.run(100)
    room.apply(KeyActivate(conference="d", direction="rx", epoch=2))
    room.apply(KeyRetire(conference="d", direction="rx", epoch=1))
    before = received(room, "late")
    room.run(100)
    assert received(room, "late") == before


def test_a_refused_uplink_key_has_changed_nothing() -> None:
    """A leg has begun under a key that was then aborted: its name is still taken, whatever the others hold."""
    room = Room()
    hall = room.create("ssrc", "d")
    first = room.key("d/uplink", mki="01")
    room.apply(ConferenceCreate(conference="e", keying="group", key=room.key("e/1"), uplink_key=first))
    room.halls["e"] = hall
    hall.uplink = first
    legs = [room.join(name, tone(437.0), hall="e", uplink="group", declare=True) for name in ("ann", "bob")]
    room.run(100)

    def prepare(epoch: int, mki: str) -> Key:
        key = room.key(f"e/uplink/{epoch}", epoch=epoch, mki=mki)
        room.apply(KeyPrepare(conference="e", direction="rx", key=key))
        return key

    switch(legs[1], prepare(2, "02"))
    room.run(100)
    room.apply(KeyAbort(conference="e", direction="rx", epoch=2))
    with pytest.raises(PortError, match="MKI 02"):
        prepare(3, "02")
    for leg in legs:
        switch(leg, prepare(3 + legs.index(leg), f"1{legs.index(leg)}"))
    room.apply(KeyActivate(conference="e", direction="rx", epoch=3))
    room.run(100)
    assert received(room, "ann") == received(room, "bob") == 15


def test_one_leg_of_a_group_uplink_is_not_served_alone() -> None:
    room, (ann,) = uplinks("ann")
    key = prepare_uplink(room, 2)
    for command in (KeyAbort, KeyActivate, KeyRetire):
        refused(room, command(conference="d", leg="ann", direction="rx", epoch=2), Refusal.INVALID)
    room.apply(KeyActivate(conference="d", direction="rx", epoch=2))
    switch(ann, key)
    room.run(100)
    assert received(room) == 5
