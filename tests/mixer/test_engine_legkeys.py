"""Keys of single legs are renewed while they talk: what they send, and what they alone hear."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import numpy as np
import pytest

from mixer.port import (
    Key,
    KeyAbort,
    KeyActivate,
    KeyPrepare,
    KeyRetire,
    KeySwitched,
    LegAdd,
    PortError,
    Refusal,
)
from mixer.suites import SUITES, SuiteName
from tests import naive
from tests.mixer.net import Net
from tests.mixer.phone import Phone, tone
from tests.mixer.room import DEFAULT, Room
from tests.mixer.tap import readable
from tests.mixer.test_engine_keys import start_at
from tests.reference.srtp import Context, Refused

each_suite = pytest.mark.parametrize("suite", SUITES)
widths = pytest.mark.parametrize("width", [0, 1, 4])


def pair(mode: str = "unique", suite: SuiteName = DEFAULT, *, rx_mki: str = "", **fields: object) -> tuple[Room, Phone]:
    """A talker whose keys change, and somebody who hears it."""
    room = Room(net=fields.pop("net", None))  # type: ignore[arg-type]
    room.create(mode, suite=suite)
    ann = room.join("ann", tone(437.0), rx_mki=rx_mki, **fields)  # type: ignore[arg-type]
    room.join("ear")
    room.run(300)
    return room, ann


def prepare_rx(room: Room, epoch: int = 2, *, mki: str = "", suite: SuiteName = DEFAULT, leg: str = "ann") -> Key:
    key = room.key(f"rx:{leg}/{epoch}", suite, mki=mki, epoch=epoch)
    room.apply(KeyPrepare(conference="c", leg=leg, direction="rx", key=key))
    return key


def switch(phone: Phone, key: Key) -> None:
    """The phone begins to send under another key: same SSRC, and the rollover counter goes on."""
    assert phone.uplink is not None
    after = Context(key.suite, key.secret.reveal(), mki=bytes.fromhex(key.mki), roc=phone.uplink.roc)
    after.streams = phone.uplink.streams
    phone.uplink = after


def refused(room: Room, command: object, why: Refusal) -> None:
    with pytest.raises(PortError) as caught:
        room.apply(command)  # type: ignore[arg-type]
    assert caught.value.refusal == why


def heard_without_a_gap(room: Room, ms: int) -> None:
    sound = np.abs(room.phones["ear"].audio(ms).astype(int))
    blocks = sound[: len(sound) // 80 * 80].reshape(-1, 80).max(axis=1)
    assert blocks.min() > 2500


# -- what a leg sends ---------------------------------------------------------------------------


@each_suite
@widths
def test_a_leg_switches_when_it_likes(suite: SuiteName, width: int) -> None:
    """With an MKI and without: not a packet is lost, and the switch is told with its first packet."""
    name: Callable[[int], str] = lambda number: number.to_bytes(width).hex() if width else ""  # noqa: E731
    room, ann = pair(suite=suite, rx_mki=name(1))
    key = prepare_rx(room, mki=name(2), suite=suite)
    room.run(200)
    assert not room.named(KeySwitched), "prepared is not used"
    switch(ann, key)
    room.run(1500)
    assert room.engine.tally.drops() == {}
    (event,) = room.named(KeySwitched)
    assert (event.leg, event.direction, event.epoch) == ("ann", "rx", 2)
    assert event.streams[0].ssrc == ann.ssrc
    assert event.streams[0].seq == 1000 + 25
    heard_without_a_gap(room, 1400)


@pytest.mark.parametrize("mki", ["", "0a"])
def test_reordered_around_the_switch(mki: str) -> None:
    """Packets of before that come late are still opened, for a second and no longer."""
    room, ann = pair(rx_mki=mki, net=Net(5, jitter_ms=60))
    for epoch in range(2, 12):
        switch(ann, prepare_rx(room, epoch, mki=f"{epoch:02x}" if mki else ""))
        room.run(400)
    drops = room.engine.tally.drops()
    assert set(drops) <= {"late"}
    assert [event.epoch for event in room.named(KeySwitched)] == list(range(2, 12))
    assert room.status("ann").auth_failures == 0


@pytest.mark.parametrize("mki", ["", "0a"])
def test_the_old_key_ends(mki: str) -> None:
    room, ann = pair(rx_mki=mki)
    old = ann.uplink
    assert old is not None
    late, too_late = ann.say(np.zeros(160, np.int16)), ann.say(np.zeros(160, np.int16))
    switch(ann, prepare_rx(room, mki="0b" if mki else ""))
    room.run(500)
    assert room.inject(late, ann.address) in ("accepted", "late")
    assert room.inject(late, ann.address) == "replayed", "its replay window lives on"
    room.run(600)
    assert room.inject(too_late, ann.address) == ("unknown_mki" if mki else "auth_failed")


@pytest.mark.parametrize("end", ["retire", "activate"])
def test_control_can_end_the_old_key_at_once(end: str) -> None:
    """I2 for an uplink: whoever stole the old key forges nothing more."""
    room, ann = pair()
    stolen = ann.uplink
    assert stolen is not None
    key = prepare_rx(room)
    switch(ann, key)
    if end == "activate":
        room.apply(KeyActivate(conference="c", leg="ann", direction="rx", epoch=2))
    room.run(100)
    room.apply(KeyRetire(conference="c", leg="ann", direction="rx", epoch=1))
    ann.seq += 500
    forged = stolen.protect(ann.rtp(bytes(160)))
    assert room.inject(forged, ann.address) == "auth_failed"
    refused(room, KeyRetire(conference="c", leg="ann", direction="rx", epoch=1), Refusal.UNKNOWN_EPOCH)
    refused(room, KeyRetire(conference="c", leg="ann", direction="rx", epoch=2), Refusal.UNKNOWN_EPOCH)


@pytest.mark.parametrize("mki", ["", "0a"])
def test_the_rollover_counter_goes_on(mki: str) -> None:
    """A switch just before, at and just after the sequence wraps."""
    for lead in (-3, 0, 3):
        room, ann = pair(rx_mki=mki, phone={"seq": 65_536 - 15 - 10 + lead})
        key = prepare_rx(room, mki="0b" if mki else "")
        room.run(200)
        switch(ann, key)
        room.run(400)
        assert room.engine.tally.drops() == {}, lead
        (event,) = room.named(KeySwitched)
        assert (event.streams[0].roc, event.streams[0].seq) == ((1, lead) if lead >= 0 else (0, 65_533))


def test_prepared_before_the_first_packet() -> None:
    """A leg that has not spoken yet may begin under the next key."""
    room = Room()
    room.create()
    for known in (True, False):
        name = f"ann{known}"
        ann = room.join(name, tone(437.0), known=known)
        switch(ann, prepare_rx(room, leg=name))
        room.run(300)
        assert room.status(name).received >= 14
    assert len(room.named(KeySwitched)) == 2


def test_who_moves_and_switches_at_once() -> None:
    room, ann = pair()
    switch(ann, prepare_rx(room))
    ann.address = "198.51.100.77:7777"
    room.run(400)
    assert room.status("ann").address == ann.address
    assert room.status("ann").received >= 34
    (event,) = room.named(KeySwitched)
    assert event.epoch == 2


def test_a_report_may_be_under_either_key() -> None:
    """RTCP near a switch; it switches nothing (RFC 3711 section 11.4)."""
    room, ann = pair()
    key = prepare_rx(room)
    after = Context(key.suite, key.secret.reveal())
    report = naive.pack_report(ann.ssrc)
    assert ann.uplink is not None
    assert room.inject(after.protect_rtcp(report), ann.address) == "accepted"
    assert not room.named(KeySwitched)
    old = ann.uplink
    switch(ann, key)
    room.run(100)
    assert room.inject(old.protect_rtcp(report), ann.address) == "accepted"
    room.run(1100)
    assert room.inject(old.protect_rtcp(report), ann.address) == "auth_failed"


def test_a_wrong_key_during_a_change_changes_nothing() -> None:
    """Forgeries fail under every key, cost their leg only a bounded number of trials, and switch nothing."""
    room, ann = pair()
    key = prepare_rx(room)
    forger = Context(DEFAULT, bytes(range(30)))
    for number in range(40):
        packet = naive.Rtp(payload_type=0, seq=2000 + number, timestamp=1, ssrc=ann.ssrc, payload=bytes(160)).pack()
        assert room.inject(forger.protect(packet), ann.address) == "auth_failed"
    assert not room.named(KeySwitched)
    room.run(20)
    switch(ann, key)
    room.run(200)
    assert [event.epoch for event in room.named(KeySwitched)] == [2]
    assert room.status("ann").auth_failures == 40


def test_two_prepared_the_newer_is_used() -> None:
    room, ann = pair()
    prepare_rx(room, 2)
    newer = prepare_rx(room, 3)
    switch(ann, newer)
    room.run(200)
    (event,) = room.named(KeySwitched)
    assert event.epoch == 3
    refused(room, KeyActivate(conference="c", leg="ann", direction="rx", epoch=2), Refusal.UNKNOWN_EPOCH)
    assert room.engine.tally.drops() == {}


def test_abort_of_an_uplink_key() -> None:
    room, ann = pair()
    key = prepare_rx(room)
    room.apply(KeyAbort(conference="c", leg="ann", direction="rx", epoch=2))
    before = ann.uplink
    switch(ann, key)
    room.run(100)
    assert room.engine.tally.drops() == {"auth_failed": 5}
    ann.uplink = before
    again = room.key("again", epoch=2)
    refused(room, KeyPrepare(conference="c", leg="ann", direction="rx", key=again), Refusal.BAD_EPOCH)


def test_a_group_uplink_key_is_renewed_for_all() -> None:
    room = Room()
    room.create("ssrc", uplink=True)
    legs = [room.join(f"leg{n}", tone(400.0 + 200 * n), uplink="group", declare=True) for n in range(3)]
    ear = room.join("ear", keying="unique")
    room.run(300)
    key = room.key("c/uplink/2", epoch=2)
    room.apply(KeyPrepare(conference="c", direction="rx", key=key))
    switch(legs[0], key)
    room.run(100)
    assert [event.leg for event in room.named(KeySwitched)] == ["leg0"]
    switch(legs[1], key)
    room.apply(KeyActivate(conference="c", direction="rx", epoch=2))
    room.halls["c"].uplink = key
    late = room.join("late", tone(1500.0), uplink="group", declare=True)
    room.run(100)
    assert room.engine.tally.drops() == {}, "leg2 may still use the old one"
    assert room.status("late").received == 5
    room.apply(KeyRetire(conference="c", direction="rx", epoch=1))
    room.run(100)
    assert room.engine.tally.drops() == {"auth_failed": 5}
    switch(legs[2], key)
    room.run(300)
    assert np.abs(ear.audio(100).astype(int)).max() > 6000
    assert not late.refused


# -- what a leg alone hears ---------------------------------------------------------------------


def prepare_tx(room: Room, phone: Phone, epoch: int = 2, *, mki: str = "", suite: SuiteName = DEFAULT) -> Key:
    """Give the next own key to the phone and to the mixer."""
    key = room.key(f"tx:{phone.name}/{epoch}", suite, mki=mki, epoch=epoch)
    room.apply(KeyPrepare(conference="c", leg=phone.name, key=key))
    context = Context(suite, key.secret.reveal(), mki=bytes.fromhex(mki))
    if mki:
        context.streams = next(iter(phone.keys.values())).streams
    phone.keys[f"tx:{phone.name}/{epoch}"] = context
    return key


@each_suite
@pytest.mark.parametrize("mode", ["unique", "mki"])
def test_an_own_key_is_renewed(mode: str, suite: SuiteName) -> None:
    room, ann = pair(mode, suite)
    old = room.secrets["tx:ann"]
    prepare_tx(room, ann, mki="ffff" if mode == "mki" else "", suite=suite)
    room.run(200)
    assert ann.heard[-1].key == "tx:ann"
    room.apply(KeyActivate(conference="c", leg="ann", epoch=2))
    room.sent.clear()
    at = len(ann.heard)
    room.run(300)
    assert not ann.refused
    assert {heard.key for heard in ann.heard[at:]} == {"tx:ann/2"}
    stamps = [heard.packet.timestamp for heard in ann.heard]
    assert {b - a & 0xFFFF_FFFF for a, b in itertools.pairwise(stamps)} == {160}
    (event,) = room.named(KeySwitched)
    first = ann.heard[at].packet
    assert (event.leg, event.streams[0].ssrc, event.streams[0].seq) == ("ann", first.ssrc, first.seq)
    ssrcs = {heard.packet.ssrc for heard in ann.heard}
    assert len(ssrcs) == (1 if mode == "mki" else 2), "no MKI: a fresh SSRC at ROC 0"
    mine = [sent for sent in room.sent if sent.address == ann.address]
    mki = "" if mode == "unique" else "0002"
    former = Key(suite=suite, secret=type(room.key("x").secret)(old), mki=mki)
    assert readable(mine, [former]) == []


def test_an_own_key_after_the_wrap(monkeypatch: pytest.MonkeyPatch) -> None:
    start_at(monkeypatch, 65_525)
    room, ann = pair("mki")
    prepare_tx(room, ann, mki="ffff")
    room.apply(KeyActivate(conference="c", leg="ann", epoch=2))
    room.run(200)
    assert not ann.refused
    assert ann.heard[-1].key == "tx:ann/2"


def test_reports_go_on_under_a_new_own_key() -> None:
    """The SRTCP index never restarts on an SSRC (RFC 3711 section 3.2.1)."""
    room, ann = pair("mki")
    room.run(30_000)
    prepare_tx(room, ann, mki="ffff")
    room.apply(KeyActivate(conference="c", leg="ann", epoch=2))
    room.run(30_000)
    indices = [
        int.from_bytes(sent.octets[-16:-12]) & 0x7FFF_FFFF
        for sent in room.sent
        if sent.address == ann.address and naive.kind_of(sent.octets) == "rtcp"
    ]
    assert len(indices) > 4
    assert indices == sorted(set(indices))
    assert not ann.refused


def test_own_keys_and_group_keys_never_share_an_mki() -> None:
    room, ann = pair("mki")
    group = room.halls["c"].epochs[1].mki
    key = room.key("x", mki=group, epoch=2)
    refused(room, KeyPrepare(conference="c", leg="ann", key=key), Refusal.INVALID)
    prepare_tx(room, ann, mki="ffff")
    taken = room.key("y", mki="ffff", epoch=2)
    refused(room, KeyPrepare(conference="c", key=taken), Refusal.INVALID)
    room.apply(KeyAbort(conference="c", leg="ann", epoch=2))
    room.apply(KeyPrepare(conference="c", key=room.key("z", mki="ffff", epoch=2)))


def test_a_leg_that_goes_frees_its_mki() -> None:
    room, _ = pair("mki")
    mine = room.phones["ann"].keys["tx:ann"].mki.hex()
    room.leave("ann")
    room.apply(KeyPrepare(conference="c", key=room.key("z", mki=mine, epoch=2)))


CASES: dict[str, tuple[Refusal, Callable[[Room], object]]] = {
    "leg elsewhere": (R_LEG := Refusal.UNKNOWN_LEG, lambda r: KeyPrepare(conference="d", leg="ann", key=r.key("k"))),
    "no such leg": (R_LEG, lambda r: KeyActivate(conference="c", leg="nobody", epoch=2)),
    "epoch of before": (Refusal.BAD_EPOCH, lambda r: KeyPrepare(conference="c", leg="ann", key=r.key("k"))),
    "used tx": (
        Refusal.KEY_REUSED,
        lambda r: KeyPrepare(conference="c", leg="ann", key=_of(r, "tx:ann", epoch=2)),
    ),
    "group key as tx": (
        Refusal.KEY_REUSED,
        lambda r: KeyPrepare(conference="c", leg="ann", key=_of(r, "c/1", epoch=2)),
    ),
    "tx as rx": (Refusal.KEY_REUSED, lambda r: _prepare_rx(_of(r, "tx:ann", epoch=2))),
    "group key as rx": (Refusal.KEY_REUSED, lambda r: _prepare_rx(_of(r, "c/1", epoch=2))),
    "rx as tx": (Refusal.KEY_REUSED, lambda r: KeyPrepare(conference="c", leg="ann", key=_of(r, "rx:ann", epoch=2))),
    "rx as group key": (Refusal.KEY_REUSED, lambda r: KeyPrepare(conference="c", key=_of(r, "rx:ann", epoch=2))),
    "rx of a newcomer": (
        Refusal.KEY_REUSED,
        lambda r: LegAdd(conference="c", leg="new", rx=_of(r, "c/1", epoch=1)),
    ),
    "tx with a ROC": (
        Refusal.INVALID,
        lambda r: KeyPrepare(conference="c", leg="ann", key=r.key("k", epoch=2, roc=1)),
    ),
    "MKI of another length": (
        Refusal.INVALID,
        lambda r: KeyPrepare(conference="c", leg="ann", direction="rx", key=r.key("k", epoch=2, mki="01")),
    ),
    "clear leg": (Refusal.INVALID, lambda r: KeyPrepare(conference="c", leg="bare", key=r.key("k", epoch=2))),
    "never had tx": (Refusal.KEY_MISSING, lambda r: KeyPrepare(conference="c", leg="mute", key=r.key("k", epoch=2))),
    "retire tx": (Refusal.INVALID, lambda r: KeyRetire(conference="c", leg="ann", epoch=1)),
    "nothing to retire": (
        Refusal.UNKNOWN_EPOCH,
        lambda r: KeyRetire(conference="c", leg="ann", direction="rx", epoch=1),
    ),
    "not prepared": (Refusal.UNKNOWN_EPOCH, lambda r: KeyActivate(conference="c", leg="ann", direction="rx", epoch=2)),
    "no uplink key": (
        Refusal.INVALID,
        lambda r: KeyPrepare(conference="c", direction="rx", key=r.key("k", epoch=2)),
    ),
}


def _of(room: Room, name: str, **fields: object) -> Key:
    key = room.key("copy", **fields)  # type: ignore[arg-type]
    return Key(secret=type(key.secret)(room.secrets[name]), epoch=key.epoch, mki=key.mki)


def _prepare_rx(key: Key) -> KeyPrepare:
    return KeyPrepare(conference="c", leg="ann", direction="rx", key=key)


@pytest.mark.parametrize("case", CASES)
def test_refused_and_nothing_changed(case: str) -> None:
    why, make = CASES[case]
    room, ann = pair("ssrc", tx=None)
    room.leave("ann")
    room.join("ann", tone(437.0), tx=room.key("tx:ann"))
    room.join("bare", clear=True)
    room.join("mute")
    room.create("unique", "d")
    room.run(100)
    before = room.show()
    refused(room, make(room), why)
    assert room.show() == before
    room.run(100)
    assert not ann.refused


def test_nobody_else_opens_a_renewed_key() -> None:
    room, ann = pair()
    key = prepare_tx(room, ann)
    room.apply(KeyActivate(conference="c", leg="ann", epoch=2))
    start = len(room.sent)
    room.run(100)
    mine = [sent for sent in room.sent[start:] if sent.address == ann.address]
    ear = room.phones["ear"]
    for sent in mine:
        for context in ear.keys.values():
            with pytest.raises(Refused):
                context.unprotect(sent.octets)
    assert len(readable(mine, [key])) == len(mine)


def test_a_key_that_is_skipped_frees_its_mki() -> None:
    room, ann = pair("mki")
    prepare_tx(room, ann, 2, mki="aaaa")
    prepare_tx(room, ann, 3, mki="bbbb")
    room.apply(KeyActivate(conference="c", leg="ann", epoch=3))
    room.apply(KeyPrepare(conference="c", key=room.key("z", mki="aaaa", epoch=2)))
