"""The whole line under keys: streams, SSRCs, rollover counters, epochs and their switches."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import numpy as np
import pytest

from mixer.port import (
    ConferenceCreate,
    ConferenceDestroy,
    KeyAbort,
    KeyActivate,
    KeyExpiring,
    KeyPrepare,
    KeySwitched,
    LegAdd,
    LegModify,
    PortError,
    Refusal,
)
from mixer.suites import SUITES, SuiteName
from tests import naive
from tests.mixer.phone import Phone, tone
from tests.mixer.room import DEFAULT, MODES, Room
from tests.reference.srtp import Context, Refused

GROUP = ("ssrc", "mki")
modes = pytest.mark.parametrize("mode", MODES)
group_modes = pytest.mark.parametrize("mode", GROUP)


def start_at(monkeypatch: pytest.MonkeyPatch, *first: int) -> None:
    """Let the next streams begin at these sequence numbers, the last for all that follow."""
    numbers: Iterator[int] = iter(first)
    latest = [0]

    def first_index() -> int:
        latest[0] = next(numbers, latest[0])
        return latest[0]

    for module in ("streams", "keying", "legdesk", "legkeys"):
        monkeypatch.setattr(f"mixer.{module}.first_index", first_index)


def seqs(phone: Phone) -> list[int]:
    return [heard.packet.seq for heard in phone.heard]


def gapless(numbers: list[int]) -> bool:
    return all(b - a & 0xFFFF == 1 for a, b in itertools.pairwise(numbers))


# -- streams ----------------------------------------------------------------------------------


def test_unique_one_stream_whatever_one_hears() -> None:
    room = Room()
    room.create("unique")
    ann = room.join("ann", tone(437.0))
    bob = room.join("bob")
    room.run(400)
    for phone in (ann, bob):
        assert len({heard.packet.ssrc for heard in phone.heard}) == 1
        assert gapless(seqs(phone))
        assert phone.heard[0].packet.marker
        assert not any(heard.packet.marker for heard in phone.heard[1:])
    assert ann.heard[0].packet.ssrc != bob.heard[0].packet.ssrc


def test_ssrc_style_has_a_minus_stream_of_its_own() -> None:
    room = Room()
    room.create("ssrc")
    ann, bob = room.join("ann"), room.join("bob")
    room.run(200)
    common = {heard.packet.ssrc for heard in ann.heard}
    assert common == {heard.packet.ssrc for heard in bob.heard}
    ann.voice = tone(437.0)
    room.run(400)
    talking = [heard for heard in ann.heard if heard.packet.ssrc not in common]
    assert len({heard.packet.ssrc for heard in talking}) == 1
    assert gapless([heard.packet.seq for heard in talking])
    assert talking[0].packet.marker, "a receiver meets a new SSRC"
    assert {heard.packet.ssrc for heard in bob.heard} == common
    stamps = [heard.packet.timestamp for heard in ann.heard]
    assert {b - a & 0xFFFF_FFFF for a, b in itertools.pairwise(stamps)} == {160}


def test_mki_style_is_one_unbroken_stream() -> None:
    room = Room()
    room.create("mki")
    ann, bob = room.join("ann"), room.join("bob")
    room.run(200)
    ann.voice = tone(437.0)
    room.run(300)
    ann.voice = None
    room.run(500)
    assert len({heard.packet.ssrc for heard in [*ann.heard, *bob.heard]}) == 1
    assert gapless(seqs(ann))
    assert seqs(ann) == seqs(bob)
    keys = [heard.key for heard in ann.heard]
    assert keys[0] == keys[-1] == "c/1"
    assert "tx:ann" in keys
    assert {heard.key for heard in bob.heard} == {"c/1"}


@modes
@pytest.mark.parametrize("ptime", [20, 40])
def test_sequence_wraps(mode: str, ptime: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """`unique` and `mki` go on into ROC 1; `ssrc` takes a fresh SSRC before that."""
    start_at(monkeypatch, 65_530)
    room = Room()
    room.create(mode)
    ann = room.join("ann", tone(437.0), ptime=ptime)
    bob = room.join("bob", ptime=ptime)
    room.run(30 * ptime)
    for phone in (ann, bob):
        assert not phone.refused
        assert len(phone.heard) == 30
        if mode != "ssrc":
            assert gapless(seqs(phone))
            assert seqs(phone)[-1] < 100
        else:
            assert min(seqs(phone)) >= 65_530
            assert len({heard.packet.ssrc for heard in phone.heard}) >= 5
    switched = room.named(KeySwitched)
    assert bool(switched) == (mode == "ssrc")
    if switched:
        announced = {position.ssrc for event in switched for position in event.streams}
        assert {heard.packet.ssrc for heard in bob.heard[6:]} <= announced
        assert {position.roc for event in switched for position in event.streams} == {0}
    assert np.abs(bob.audio(200)).max() > 2500


@modes
def test_a_late_joiner_hears_at_once(mode: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Group under `ssrc` at ROC 0 always; under `mki` with the ROC that the reply tells."""
    start_at(monkeypatch, 65_530)
    room = Room()
    room.create(mode)
    room.join("ann", tone(437.0))
    room.join("bob")
    room.run(620)
    late = room.join("late", tone(1013.0))
    reply = next(iter(late.keys.values()))
    assert reply.roc == (1 if mode == "mki" else 0)
    room.run(300)
    assert not late.refused
    assert len(late.heard) == 15
    assert late.heard[-1].samples.any()


def test_a_joiner_at_the_wrap_is_told_what_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    start_at(monkeypatch, 65_530)
    room = Room()
    room.create("ssrc")
    room.join("ann", tone(437.0))
    room.run(6 * 20)
    late = room.join("late")
    assert room.show().streams[0].roc == 0
    room.run(100)
    assert not late.refused


def test_a_resting_key_of_its_own_finds_the_rollover_counter(monkeypatch: pytest.MonkeyPatch) -> None:
    """Style mki: who speaks for the first time after the stream has wrapped is sent at the stream's ROC."""
    start_at(monkeypatch, 65_500)
    room = Room()
    room.create("mki")
    ann = room.join("ann")
    room.join("bob", tone(437.0))
    room.run(1200)
    ann.keys["tx:ann"].roc = 1
    ann.voice = tone(1013.0)
    room.run(400)
    assert not ann.refused
    assert "tx:ann" in {heard.key for heard in ann.heard[-5:]}


@modes
def test_uplink_at_a_rollover_counter(mode: str) -> None:
    room = Room()
    room.create(mode)
    room.join("told", tone(437.0), declare=True, roc=2, phone={"seq": 65_530})
    room.join("found", tone(1013.0), roc=7, phone={"seq": 65_530})
    room.join("ear")
    room.run(600)
    assert room.engine.tally.drops() == {}
    assert room.status("found").received == 30


# -- encode once, encrypt once (I8) -----------------------------------------------------------


@pytest.mark.parametrize("mode", GROUP)
@pytest.mark.parametrize("listeners", [1, 5, 20])
def test_listeners_cost_one_encode_and_one_encrypt(mode: str, listeners: int) -> None:
    room = Room()
    room.create(mode)
    for number in range(listeners):
        room.join(f"ear{number}", direction="recvonly")
    room.join("ann", tone(437.0))
    room.join("bob", tone(1013.0))
    room.run(200)
    before = room.engine.counters
    encodes, encrypts, sent = before.encodes, before.encrypts, before.packets_sent
    common = before.common_encodes, before.common_encrypts
    room.run(200)
    after = room.engine.counters
    assert after.encodes - encodes == after.encrypts - encrypts == 10 * 3
    assert (after.common_encodes - common[0], after.common_encrypts - common[1]) == (10, 10)
    assert after.packets_sent - sent == 10 * (listeners + 2)


def test_unique_encodes_once_and_encrypts_each() -> None:
    room = Room()
    room.create("unique")
    for number in range(9):
        room.join(f"ear{number}")
    room.run(200)
    assert (room.engine.counters.encodes, room.engine.counters.encrypts) == (10, 90)
    first = [phone.heard[5].packet.payload for phone in room.phones.values()]
    assert len(set(first)) == 1


def test_mixed_keying_in_one_conference() -> None:
    room = Room()
    room.create("ssrc")
    room.join("group", tone(437.0))
    room.join("own", tone(1013.0), keying="unique")
    room.join("bare", tone(1709.0), clear=True)
    ear = room.join("ear", keying="unique")
    room.run(500)
    assert not any(phone.refused for phone in room.phones.values())
    assert {heard.key for heard in ear.heard} == {"tx:ear"}
    assert all(np.abs(phone.audio(100)).max() > 3500 for phone in room.phones.values())
    keying = {leg.leg: leg.keying for leg in room.show().legs}
    assert keying == {"group": "group", "own": "unique", "bare": "clear", "ear": "unique"}


# -- epochs -----------------------------------------------------------------------------------


@group_modes
@pytest.mark.parametrize("suite", SUITES)
def test_a_switch_loses_nothing(mode: str, suite: SuiteName) -> None:
    room = Room()
    room.create(mode, suite=suite)
    ann, bob, ear = room.join("ann", tone(437.0)), room.join("bob", tone(1013.0)), room.join("ear")
    room.run(300)
    room.prepare()
    room.run(100)
    assert room.show().prepared == [2]
    assert all(heard.key != "c/2" for phone in room.phones.values() for heard in phone.heard)
    for phone in room.phones.values():
        phone.forget()
    room.activate()
    room.run(300)
    for phone in room.phones.values():
        assert not phone.refused
        assert len(phone.heard) == 15, "one packet a tick, before and after"
        assert "c/1" not in {heard.key for heard in phone.heard}, "all at one packet"
        stamps = [heard.packet.timestamp for heard in phone.heard]
        assert {b - a & 0xFFFF_FFFF for a, b in itertools.pairwise(stamps)} == {160}
    assert {heard.key for heard in ear.heard} == {"c/2"}
    assert np.abs(ear.audio(100)).max() > 4500
    (event,) = room.named(KeySwitched)
    (position,) = event.streams
    assert (event.epoch, position.ssrc, position.seq) == (2, ear.heard[0].packet.ssrc, ear.heard[0].packet.seq)
    if mode == "mki":
        assert gapless(seqs(ann))
        assert len({heard.packet.ssrc for phone in (ann, bob, ear) for heard in phone.heard}) == 1


@group_modes
def test_the_old_key_decrypts_nothing_afterwards(mode: str) -> None:
    room = Room()
    room.create(mode)
    room.join("ann", tone(437.0))
    room.join("ear")
    room.run(200)
    room.prepare()
    room.activate()
    room.sent.clear()
    room.run(400)
    old = room.halls["c"].epochs[1]
    leaver = Context(DEFAULT, room.secrets["c/1"], mki=bytes.fromhex(old.mki))
    for sent in room.sent:
        rtcp = naive.kind_of(sent.octets) == "rtcp"
        with pytest.raises(Refused):
            (leaver.unprotect_rtcp if rtcp else leaver.unprotect)(sent.octets)


@group_modes
def test_every_epoch_in_turn(mode: str) -> None:
    room = Room()
    room.create(mode)
    room.join("ann", tone(437.0))
    ear = room.join("ear")
    for _ in range(6):
        room.run(60)
        room.prepare()
        room.run(40)
        room.activate()
    room.run(60)
    assert not ear.refused
    assert [heard.key for heard in ear.heard[::5]] == [f"c/{n}" for n in (1, 2, 3, 4, 5, 6, 7)][: len(ear.heard[::5])]
    ssrcs = {heard.packet.ssrc for heard in ear.heard}
    assert len(ssrcs) == (7 if mode == "ssrc" else 1)


def test_a_switch_on_a_wrapped_stream(monkeypatch: pytest.MonkeyPatch) -> None:
    """The rollover counter is not reset by a new key (RFC 3711 section 3.3.1)."""
    start_at(monkeypatch, 65_520)
    room = Room()
    room.create("mki")
    ann, ear = room.join("ann", tone(437.0)), room.join("ear")
    room.run(600)
    room.prepare()
    room.activate()
    room.run(200)
    assert room.show().streams[0].roc == 1
    assert not ann.refused
    assert not ear.refused
    late = room.join("late")
    room.run(100)
    assert not late.refused


@group_modes
def test_abort(mode: str) -> None:
    room = Room()
    room.create(mode)
    ear = room.join("ear")
    key = room.prepare()
    room.apply(KeyAbort(conference="c", epoch=2))
    assert room.show().prepared == []
    for command in (KeyActivate(conference="c", epoch=2), KeyAbort(conference="c", epoch=2)):
        refused(room, command, Refusal.UNKNOWN_EPOCH)
    refused(room, KeyPrepare(conference="c", key=key), Refusal.KEY_REUSED)
    again = room.key("again", mki=room.mki(2 if mode == "mki" else 0), epoch=2)
    refused(room, KeyPrepare(conference="c", key=again), Refusal.BAD_EPOCH)
    room.run(100)
    assert {heard.key for heard in ear.heard} == {"c/1"}


@group_modes
def test_an_epoch_never_goes_back(mode: str) -> None:
    room = Room()
    room.create(mode)
    room.join("ear")
    room.prepare()
    room.prepare()
    third = room.key("x", mki=room.mki(2 if mode == "mki" else 0), epoch=4)
    refused(room, KeyPrepare(conference="c", key=third), Refusal.BAD_EPOCH)
    room.activate()
    refused(room, KeyActivate(conference="c", epoch=2), Refusal.UNKNOWN_EPOCH)
    refused(room, KeyActivate(conference="c", epoch=3), Refusal.UNKNOWN_EPOCH)
    for epoch in (1, 2, 3):
        key = room.key("y", mki=room.mki(2 if mode == "mki" else 0), epoch=epoch)
        refused(room, KeyPrepare(conference="c", key=key), Refusal.BAD_EPOCH)
    assert room.show().epoch == 3


def refused(room: Room, command: object, why: Refusal) -> None:
    """A command is refused for that reason, and nothing has changed."""
    halls = room.engine_halls()
    before = [room.show(hall) for hall in halls]
    with pytest.raises(PortError) as caught:
        room.apply(command)  # type: ignore[arg-type]
    assert caught.value.refusal == why
    assert room.engine_halls() == halls
    assert [room.show(hall) for hall in halls] == before


def test_mkis_of_legs_and_groups_never_meet() -> None:
    room = Room()
    room.create("mki")
    ann = room.join("ann", tone(437.0))
    mine = ann.keys["tx:ann"].mki.hex()
    refused(room, KeyPrepare(conference="c", key=room.key("k", mki=mine, epoch=2)), Refusal.INVALID)
    prepared = room.prepare()
    for mki in (prepared.mki, room.halls["c"].epochs[1].mki, "01"):
        add = LegAdd(conference="c", leg="new", rx=room.key("rx:new"), tx=room.key("tx:new", mki=mki))
        refused(room, add, Refusal.INVALID)


def test_a_key_sent_under_is_never_taken_again() -> None:
    room = Room()
    room.create("mki")
    ann = room.join("ann", tone(437.0))
    room.run(100)
    used = {name: octets for name, octets in room.secrets.items() if name in ("c/1", "tx:ann")}
    room.leave(ann.name)
    room.apply(ConferenceDestroy(conference="c"))
    room.create("unique", "d")
    for octets in used.values():
        key = room.key("again")
        again = type(key)(secret=type(key.secret)(octets))
        refused(room, LegAdd(conference="d", leg="x", rx=room.key("r"), tx=again), Refusal.KEY_REUSED)
        refused(room, ConferenceCreate(conference="e", key=again), Refusal.KEY_REUSED)
        refused(room, KeyPrepare(conference="d", key=again), Refusal.KEY_REUSED)


def test_an_uplink_key_serves_one_conference() -> None:
    """Two would share keystream; and destroying one leaves the controller's copy of the key alone."""
    room = Room()
    key = room.key("up")
    room.apply(ConferenceCreate(conference="one", uplink_key=key))
    refused(room, ConferenceCreate(conference="two", uplink_key=key), Refusal.KEY_REUSED)
    room.apply(ConferenceDestroy(conference="one"))
    assert len(key.secret.reveal()) == 30


# -- expiry -----------------------------------------------------------------------------------


@group_modes
def test_a_key_expires_once_and_a_fresh_one_is_fresh(mode: str, monkeypatch: pytest.MonkeyPatch) -> None:
    start_at(monkeypatch, 65_500)  # renewals of an SSRC do not make a key younger
    room = Room(soft_epoch_packets=120)
    room.create(mode)
    room.join("ear")
    room.run(2000)
    assert room.named(KeyExpiring) == []
    room.run(2000)
    (event,) = room.named(KeyExpiring)
    assert (event.conference, event.epoch) == ("c", 1)
    assert event.packets >= 120
    room.prepare()
    room.activate()
    room.run(2000)
    assert len(room.named(KeyExpiring)) == 1
    room.run(2000)
    assert [event.epoch for event in room.named(KeyExpiring)] == [1, 2]


# -- directions and keys ----------------------------------------------------------------------


def test_who_cannot_hear_itself_left_out_may_not_speak() -> None:
    """Style mki: a minus mix goes under the leg's own key, and never in clear."""
    room = Room()
    room.create("mki")
    mute = room.join("mute", tone(437.0), direction="recvonly", rx=room.key("rx:mute"), tx=None, ptime=60)
    room.join("ann", tone(1013.0), ptime=60)
    for direction in ("sendonly", "sendrecv"):
        refused(room, LegModify(leg="mute", direction=direction), Refusal.KEY_MISSING)
    room.run(300)
    assert not mute.refused
