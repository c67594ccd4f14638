"""The bridge: from one tick to the next everybody hears the same mix under keys of their own, and back."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from mixer.port import KeyBridge, KeyRetire, KeySwitched, LegAdd, LegRemove, PortError, Refusal
from tests import naive
from tests.mixer.phone import Phone, tone
from tests.mixer.room import Room, Sent
from tests.mixer.tap import readable

styles = pytest.mark.parametrize("style", ["ssrc", "mki"])


def hall(style: str, listeners: int = 4, **fields: object) -> tuple[Room, list[Phone]]:
    """A talker and listeners, all with keys of their own beside the group's."""
    room = Room()
    room.create(style)
    mki = 2 if style == "mki" else 0
    room.join("ann", tone(437.0), tx=room.key("tx:ann", mki=room.mki(mki)))
    ears = [
        room.join(f"ear{n}", tx=room.key(f"tx:ear{n}", mki=room.mki(mki)), **fields)  # type: ignore[arg-type]
        for n in range(listeners)
    ]
    room.run(200)
    return room, ears


def unbroken(phone: Phone) -> None:
    """One SSRC, no gap, no packet that it could not read, and the tone goes on."""
    assert not phone.refused
    assert len({heard.packet.ssrc for heard in phone.heard}) == 1
    seqs = [heard.packet.seq for heard in phone.heard]
    assert {b - a & 0xFFFF for a, b in itertools.pairwise(seqs)} == {1}
    stamps = [heard.packet.timestamp for heard in phone.heard]
    assert {b - a & 0xFFFF_FFFF for a, b in itertools.pairwise(stamps)} == {160}
    quiet = [heard for heard in phone.heard[10:] if np.abs(heard.samples.astype(int)).max() < 2500]
    assert not quiet, "the tone never stops"


def test_bridging_breaks_nothing() -> None:
    """I5, style mki: not one packet, not one SSRC, not one sample."""
    room, ears = hall("mki")
    room.bridge()
    room.run(200)
    room.bridge(on=False)
    room.run(200)
    for ear in ears:
        unbroken(ear)
        keys = [heard.key for heard in ear.heard]
        own = f"tx:{ear.name}"
        assert keys == ["c/1"] * 10 + [own] * 10 + ["c/1"] * 10, "from the very next tick on, and back"


@styles
def test_bridged_costs_one_encode_and_an_encrypt_each(style: str) -> None:
    """I8: bridging is unique keying; the mix is still encoded once."""
    room, ears = hall(style, listeners=7)
    room.bridge()
    room.run(100)
    counters = room.engine.counters
    before = counters.encodes, counters.common_encodes, counters.encrypts, counters.common_encrypts
    room.run(200)
    after = counters.encodes, counters.common_encodes, counters.encrypts, counters.common_encrypts
    assert [b - a for a, b in zip(before, after, strict=True)] == [20, 10, 80, 0]
    assert len({ear.heard[-1].packet.payload for ear in ears}) == 1


@styles
def test_the_group_key_opens_nothing_of_a_bridged_cohort(style: str) -> None:
    room, _ = hall(style)
    room.bridge()
    room.sent.clear()
    room.run(6000)
    assert readable(room.sent, room.halls["c"].epochs.values()) == []
    assert {naive.kind_of(sent.octets) for sent in room.sent} == {"rtp", "rtcp"}
    room.bridge(on=False)
    room.run(100)
    assert readable(room.sent, room.halls["c"].epochs.values()), "the tap works"


def test_ssrc_style_has_a_stream_of_its_own_for_it() -> None:
    """The receiver meets an SSRC with a marker, goes on at the same time, and comes back to the common one."""
    room, ears = hall("ssrc")
    common = {heard.packet.ssrc for heard in ears[0].heard}
    room.bridge()
    room.run(200)
    room.bridge(on=False)
    room.run(100)
    room.bridge()
    room.run(100)
    for ear in ears:
        assert not ear.refused
        stamps = [heard.packet.timestamp for heard in ear.heard]
        assert {b - a & 0xFFFF_FFFF for a, b in itertools.pairwise(stamps)} == {160}
        mine = [heard for heard in ear.heard if heard.packet.ssrc not in common]
        assert len({heard.packet.ssrc for heard in mine}) == 1
        assert {heard.key for heard in mine} == {f"tx:{ear.name}"}
        seqs = [heard.packet.seq for heard in mine]
        assert {b - a & 0xFFFF for a, b in itertools.pairwise(seqs)} == {1}
        assert [at for at, heard in enumerate(mine) if heard.packet.marker] == [0, 10]


@styles
def test_without_a_key_of_its_own_a_bridged_leg_hears_nothing(style: str) -> None:
    room = Room()
    room.create(style)
    room.join("ann", tone(437.0))
    bare = room.join("bare", direction="recvonly", rx=room.key("rx"), tx=None)
    room.run(100)
    assert bare.heard
    room.bridge("bare")
    bare.forget()
    room.run(6000)
    assert not bare.heard
    assert not bare.refused
    assert not bare.rtcp
    assert room.status("bare").keying == "bridged"
    room.bridge("bare", on=False)
    room.run(100)
    assert len(bare.heard) == 5


def test_a_talker_is_bridged_too() -> None:
    """Style ssrc: its minus mix is under the group key; while it is bridged, under its own."""
    room = Room()
    room.create("ssrc")
    ann = room.join("ann", tone(437.0), tx=room.key("tx:ann"))
    room.join("bob", tone(1013.0), tx=room.key("tx:bob"))
    room.run(200)
    assert {heard.key for heard in ann.heard} == {"c/1"}
    ann.forget()
    room.bridge()
    room.run(200)
    assert {heard.key for heard in ann.heard} == {"tx:ann"}
    assert np.abs(ann.audio(100).astype(int)).max() > 2500
    room.bridge(on=False)
    room.run(200)
    assert not ann.refused
    assert ann.heard[-1].key == "c/1"


def to_others(room: Room, leaver: Phone) -> list[Sent]:
    """What was sent, but for the goodbye to the leaver itself."""
    return [sent for sent in room.sent if sent.address != leaver.address]


# -- who leaves ---------------------------------------------------------------------------------


@styles
def test_a_leave_that_bridges_exposes_nothing(style: str) -> None:
    """I2: with all it ever held, and all that is sent to the others, the leaver reads not one packet more."""
    room, ears = hall(style)
    held = [*room.halls["c"].epochs.values()]
    room.leave("ear0", bridge=True)
    room.sent.clear()
    room.run(300)
    room.prepare()
    room.activate()
    room.run(40)
    room.bridge(on=False)
    room.run(300)
    assert readable(to_others(room, ears[0]), held) == []
    for ear in ears[1:]:
        assert not ear.refused
        assert ear.heard[-1].key == "c/2"


@styles
def test_a_leave_that_does_not_bridge_exposes_all_until_the_next_key(style: str) -> None:
    """The control run: without the defence the same test finds what a leaver can read."""
    room, _ = hall(style)
    held = [*room.halls["c"].epochs.values()]
    room.leave("ear0")
    room.sent.clear()
    room.run(300)
    assert len(readable(room.sent, held)) >= 3 * 15
    room.prepare()
    room.activate()
    room.sent.clear()
    room.run(300)
    assert readable(room.sent, held) == []


@styles
def test_a_leave_during_a_rekey(style: str) -> None:
    """The leaver has got the next key already: the cohort stays bridged through that one and the one after."""
    room, ears = hall(style)
    room.prepare()
    held = [*room.halls["c"].epochs.values()]
    room.leave("ear0", bridge=True)
    room.sent.clear()
    room.activate()
    room.run(100)
    room.prepare()
    room.activate()
    room.bridge(on=False)
    room.run(100)
    assert readable(to_others(room, ears[0]), held) == []
    assert all(ear.heard[-1].key == "c/3" for ear in ears[1:])


# -- who comes ----------------------------------------------------------------------------------


@styles
def test_a_joiner_reads_nothing_of_before(style: str) -> None:
    """I3: it begins bridged, and gets a group key only of an epoch that began after it came."""
    room, ears = hall(style)
    late = room.join("late", told=False, bridged=True, tx=room.key("tx:late", mki=room.mki(2 if style == "mki" else 0)))
    room.run(100)
    assert {heard.key for heard in late.heard} == {"tx:late"}, "and hears at once"
    before = list(room.sent)
    room.prepare()
    room.activate()
    room.bridge("late", on=False)
    room.run(100)
    assert late.heard[-1].key == "c/2"
    assert not late.refused
    mine = [room.halls["c"].epochs[2]]
    assert readable(before, mine) == []
    assert readable(room.sent, mine)
    for ear in ears:
        assert not ear.refused


@styles
def test_a_joiner_that_is_given_the_current_key_reads_the_past(style: str) -> None:
    """The control run for I3."""
    room, _ = hall(style)
    room.join("late", told=True)
    assert len(readable(room.sent, room.halls["c"].epochs.values())) > 30


@styles
def test_a_laggard_loses_nothing(style: str) -> None:
    """I6: who has not got the key yet is bridged before the switch, and comes along when it has."""
    room, ears = hall(style)
    slow, others = ears[0], ears[1:]
    room.prepare(members=[ear.name for ear in others] + ["ann"])
    room.bridge(slow.name)
    room.activate()
    room.run(100)
    assert not slow.refused
    assert slow.heard[-1].key == f"tx:{slow.name}"
    assert all(ear.heard[-1].key == "c/2" for ear in others)
    room.tell(slow.name)
    room.bridge(slow.name, on=False)
    room.run(100)
    assert slow.heard[-1].key == "c/2"
    assert not slow.refused


# -- a cohort without a key -----------------------------------------------------------------------


@styles
def test_without_a_group_key_all_are_bridged(style: str) -> None:
    """Unique keying as the lower end of the same thing: the first group key comes while they talk."""
    room = Room()
    room.create(style, first_key=False)
    mki = 2 if style == "mki" else 0
    ann = room.join("ann", tone(437.0), bridged=True, tx=room.key("tx:ann", mki=room.mki(mki)))
    ear = room.join("ear", bridged=True, tx=room.key("tx:ear", mki=room.mki(mki)))
    room.run(200)
    assert {heard.key for heard in ear.heard} == {"tx:ear"}
    room.prepare()
    room.activate()
    room.run(100)
    assert {heard.key for heard in ear.heard} == {"tx:ear"}, "activation alone moves nobody"
    room.bridge(on=False)
    room.run(100)
    assert ear.heard[-1].key == ann.heard[-1].key.replace("tx:ann", "c/1") == "c/1"
    assert not ear.refused
    assert not ann.refused
    if style == "mki":
        unbroken(ear)


@styles
def test_retire_bridges_the_cohort(style: str) -> None:
    """Back to unique keys: the group key is destroyed and nobody loses a packet."""
    room, ears = hall(style)
    room.apply(KeyRetire(conference="c", epoch=1))
    room.sent.clear()
    room.run(200)
    assert readable(room.sent, room.halls["c"].epochs.values()) == []
    (cohort,) = room.show().cohorts
    assert (cohort.epoch, cohort.highest, cohort.legs, cohort.bridged) == (0, 1, 5, 5)
    for ear in ears:
        assert not ear.refused
        assert len(ear.heard) == 20
    room.prepare()
    room.activate()
    room.run(40)
    assert {ear.heard[-1].key for ear in ears} == {f"tx:{ear.name}" for ear in ears}, "until it is said"
    room.bridge(on=False)
    room.run(40)
    assert {ear.heard[-1].key for ear in ears} == {"c/2"}


def test_what_is_refused() -> None:
    room, _ = hall("mki")
    room.create("mki", "other")
    room.join("else", hall="other")
    room.create("mki", "empty", first_key=False)
    cases = [
        (KeyBridge(conference="x", on=True), Refusal.UNKNOWN_CONFERENCE),
        (KeyBridge(conference="c", legs=("nobody",), on=True), Refusal.UNKNOWN_LEG),
        (KeyBridge(conference="c", legs=("ear1", "else"), on=True), Refusal.UNKNOWN_LEG),
        (KeyBridge(conference="c", cohort=1, legs=("ear1",), on=True), Refusal.INVALID),
        (LegAdd(conference="empty", leg="x", rx=room.key("r"), tx=room.key("t", mki="aa")), Refusal.KEY_MISSING),
        (LegRemove(leg="nobody", bridge=True), Refusal.UNKNOWN_LEG),
    ]
    before = room.show()
    for command, why in cases:
        with pytest.raises(PortError) as caught:
            room.apply(command)  # type: ignore[arg-type]
        assert caught.value.refusal == why
    assert room.show() == before
    assert not room.named(KeySwitched)


def test_a_cohort_without_a_key_can_not_be_unbridged() -> None:
    room = Room()
    room.create("mki", first_key=False)
    room.join("ann", bridged=True)
    with pytest.raises(PortError, match="no active group key") as caught:
        room.bridge(on=False)
    assert caught.value.refusal == Refusal.KEY_MISSING


@pytest.mark.parametrize("fields", [{"keying": "unique"}, {"clear": True}])
def test_who_hears_no_group_key_has_nothing_to_bridge(fields: dict[str, object]) -> None:
    """It is of no cohort: it is not bridged itself, and its leave silences nobody."""
    room, ears = hall("ssrc")
    bare = room.join("bare", direction="recvonly", rx=room.key("rx"), tx=None)
    room.join("solo", **fields)  # type: ignore[arg-type]
    room.run(100)
    with pytest.raises(PortError, match="solo") as caught:
        room.bridge("ear0", "solo")
    assert caught.value.refusal == Refusal.INVALID
    room.leave("solo", bridge=True)
    bare.forget()
    room.run(100)
    assert len(bare.heard) == 5
    assert {ear.heard[-1].key for ear in ears} == {"c/1"}
