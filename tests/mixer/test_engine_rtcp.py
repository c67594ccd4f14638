"""RTCP of the whole line: what is reported, under which key, and that no SRTCP index comes twice."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import numpy as np
import pytest

from mixer.port import ConferenceDestroy, LegBye, LegDeaf, LegRemove, LegTimeout
from mixer.suites import SUITES, SuiteName
from tests import naive
from tests.mixer.net import MS, Net
from tests.mixer.phone import Phone, tone
from tests.mixer.room import MODES, Room
from tests.naive import Block, Rtcp
from tests.reference.srtp import Context, Refused

modes = pytest.mark.parametrize("mode", MODES)
WALL = 1_700_000_000.0
NTP = int((WALL + 2_208_988_800) * (1 << 32))


def ntp_at(ns: int) -> int:
    return NTP + (ns << 32) // 1_000_000_000


def room_of(mode: str, net: Net | None = None, **fields: Any) -> Room:
    room = Room(net=net)
    room.engine.set_wall_clock(WALL)
    room.create(mode, **fields)
    return room


def reports(phone: Phone) -> list[tuple[int, Rtcp]]:
    return [(at, compound) for at, _, compound in phone.rtcp]


# -- what we say ------------------------------------------------------------------------------


@modes
@pytest.mark.parametrize("ptime", [20, 60])
def test_sender_reports_tell_what_was_sent(mode: str, ptime: int) -> None:
    room = room_of(mode)
    ann = room.join("ann", tone(437.0), ptime=ptime)
    room.join("bob", tone(1013.0), ptime=ptime)
    room.run(12_000)
    sent = [(at, compound) for at, compound in reports(ann) if compound.sender]
    assert sent
    for at, compound in sent:
        assert compound.cnames == {compound.ssrc: "mixer@mrfp.invalid"}
        ours = [heard for heard in ann.heard if heard.packet.ssrc == compound.ssrc and heard.at_ns <= at]
        assert compound.sender is not None
        time, stamp, packets, octets = compound.sender
        assert abs(time - ntp_at(at)) < 1 << 20, "the virtual clock, within float"
        last = ours[-1]
        passed = (stamp - last.packet.timestamp) & 0xFFFF_FFFF
        assert passed == 8 * (at - last.at_ns) // MS + 8 * ptime, "the same moment on both clocks"
        common = {heard.packet.ssrc for heard in ann.heard[:1]}
        if mode != "ssrc" or compound.ssrc not in common:
            assert packets == len(ours)
        assert octets == packets * 8 * ptime


@modes
def test_receiver_reports_tell_what_came(mode: str) -> None:
    net = Net(7, loss=0.2)
    room = room_of(mode, net)
    ann = room.join("ann", tone(437.0))
    room.run(15_000)
    blocks = [block for _, compound in reports(ann) for block in compound.blocks]
    assert {block.ssrc for block in blocks} == {ann.ssrc}
    assert abs(blocks[-1].lost - 0.2 * (blocks[-1].highest - 1000)) < 40
    assert all(20 <= block.fraction <= 90 for block in blocks)
    assert blocks[-1].jitter == 0
    assert blocks[-1].highest <= ann.seq
    status = room.status("ann")
    assert abs(status.lost - net.lost) <= 1
    assert status.received == 750 - net.lost


def test_jitter_is_that_of_the_book() -> None:
    """Every other packet is 8 ms late: 64 samples of deviation, whatever the network's delay."""
    room = room_of("unique")
    ann = room.join("ann")
    for number in range(600):
        said = tone(437.0)(np.arange(160 * number, 160 * number + 160))
        room.net.send(room.now_ns + (8 * MS if number % 2 else 0), ann.say(said), ann.address)
        room.step()
    assert room.status("ann").jitter_ms == pytest.approx(8.0, abs=0.1)
    blocks = [block for _, compound in reports(ann) for block in compound.blocks]
    assert abs(blocks[-1].jitter - 64) <= 1


@modes
def test_lsr_and_dlsr(mode: str) -> None:
    room = room_of(mode)
    ann = room.join("ann", tone(437.0))
    room.run(200)
    time = 0x1234_5678_9ABC_DEF0
    assert room.inject(ann.seal(naive.pack_report(ann.ssrc, sender=(time, 1, 2, 3))), ann.address) == "accepted"
    arrived = room.now_ns
    room.run(12_000)
    found = [(at, block) for at, compound in reports(ann) for block in compound.blocks if at > arrived]
    assert found
    for at, block in found:
        assert block.lsr == 0x5678_9ABC
        assert abs(block.dlsr - (at - arrived) * 65536 // 1_000_000_000) <= 1


# -- what we are told -------------------------------------------------------------------------


@modes
def test_round_trip_loss_and_jitter_of_the_far_end(mode: str) -> None:
    room = room_of(mode)
    ann = room.join("ann", tone(437.0))
    room.join("bob", tone(1013.0))
    room.run(12_000)
    at, compound = next((at, compound) for at, compound in reversed(reports(ann)) if compound.sender)
    assert compound.sender is not None
    room.run(200)
    held_ns, way_ns = 130 * MS, room.now_ns - at - 130 * MS
    block = Block(
        compound.ssrc,
        fraction=3,
        lost=17,
        highest=99,
        jitter=240,
        lsr=compound.sender[0] >> 16 & 0xFFFF_FFFF,
        dlsr=held_ns * 65536 // 1_000_000_000,
    )
    assert room.inject(ann.seal(naive.pack_report(ann.ssrc, [block])), ann.address) == "accepted"
    status = room.status("ann")
    assert status.rtt_ms == pytest.approx(way_ns / MS, abs=0.1)
    assert (status.remote_lost, status.remote_jitter_ms) == (17, 30.0)
    stranger = Block(0x4242, lost=999)
    room.inject(ann.seal(naive.pack_report(ann.ssrc, [stranger])), ann.address)
    assert room.status("ann").remote_lost == 17, "not about a stream of ours"


def told_deaf(room: Room) -> list[int]:
    """How many packets each `leg_deaf` was about."""
    return [event.sent for event in room.events if isinstance(event, LegDeaf)]


@modes
@pytest.mark.parametrize("names", [True, False], ids=["frozen", "silent"])
def test_a_leg_that_reports_nothing_new_is_deaf(mode: str, names: bool) -> None:
    """Its receiver cannot open what comes: the highest sequence it tells stands still, or it tells of nothing."""
    room = room_of(mode)
    ann = room.join("ann", tone(437.0))
    room.join("bob", tone(1013.0))
    room.run(1_000)

    def report(highest: int) -> None:
        heard = ann.heard[-1].packet.ssrc
        blocks = [Block(heard, highest=highest)] if names or highest < 300 else []
        assert room.inject(ann.seal(naive.pack_report(ann.ssrc, blocks)), ann.address) == "accepted"

    report(100)
    room.run(5_000)
    report(200)
    for _ in range(2):
        assert not told_deaf(room)
        room.run(5_000)
        report(200 if names else 300)
    (sent,) = told_deaf(room)
    assert 450 <= sent <= 550
    room.run(5_000)
    report(200 if names else 300)
    assert len(told_deaf(room)) == 1, "told once"


@modes
def test_who_never_reported_or_was_sent_little_is_not_called_deaf(mode: str) -> None:
    room = room_of(mode)
    ann = room.join("ann", tone(437.0))
    room.join("bob", tone(1013.0))
    room.run(1_000)
    for _ in range(4):
        room.run(5_000)
        room.inject(ann.seal(naive.pack_report(ann.ssrc, [])), ann.address)
    heard = ann.heard[-1].packet.ssrc
    for _ in range(4):
        room.run(100)
        room.inject(ann.seal(naive.pack_report(ann.ssrc, [Block(heard, highest=7)])), ann.address)
    assert not told_deaf(room)


@modes
def test_bye_is_told(mode: str) -> None:
    room = room_of(mode)
    ann = room.join("ann", tone(437.0))
    room.run(100)
    octets = ann.seal(naive.pack_report(ann.ssrc) + naive.pack_bye(ann.ssrc))
    assert room.inject(octets, ann.address) == "accepted"
    assert [event.leg for event in room.named(LegBye)] == ["ann"]
    assert room.inject(octets, ann.address) == "replayed"
    assert len(room.named(LegBye)) == 1


def test_a_listener_shows_where_it_is_by_rtcp() -> None:
    room = room_of("ssrc")
    room.join("ann", tone(437.0))
    ear = room.join("ear", direction="recvonly", declare=True, known=False)
    room.run(100)
    assert ear.heard == []
    assert room.inject(ear.seal(naive.pack_report(ear.ssrc)), ear.address) == "accepted"
    room.run(200)
    assert len(ear.heard) == 10


@modes
def test_bad_rtcp_inside_good_srtcp(mode: str) -> None:
    room = room_of(mode)
    ann = room.join("ann", tone(437.0))
    room.run(100)
    head = bytes([0x81, 201, 0, 9]) + ann.ssrc.to_bytes(4)
    for body in (b"", bytes(24), bytes(35)):
        assert room.inject(ann.seal(head + body), ann.address) == "bad_rtcp"
    room.check_tally()


# -- goodbyes ---------------------------------------------------------------------------------


def goodbyes(phone: Phone) -> int:
    return sum(bool(compound.byes) for _, compound in reports(phone))


@pytest.mark.parametrize("mode", [*MODES, "clear"])
@pytest.mark.parametrize("how", ["remove", "destroy", "drain"])
def test_everybody_is_told_goodbye(mode: str, how: str) -> None:
    room = room_of("unique" if mode == "clear" else mode)
    clear: dict[str, Any] = {"clear": True} if mode == "clear" else {}
    ann = room.join("ann", tone(437.0), **clear)
    ear = room.join("ear", direction="recvonly", **clear)
    never = room.join("never", known=False, **clear)
    room.run(200)
    if how == "remove":
        for name in ("ann", "ear", "never"):
            room.apply(LegRemove(leg=name))
    elif how == "destroy":
        room.apply(ConferenceDestroy(conference="c"))
    else:
        room.engine.drain()
    room.step()
    # Whoever heard only the common stream is told nothing while it goes on: anybody could replay that to the others.
    told = how != "remove" or mode in ("unique", "clear") or (mode == "mki" and "tx:ear" in ear.keys)
    assert (goodbyes(ann), goodbyes(ear), goodbyes(never)) == (1, int(told), 0)
    for phone in (ann, ear)[: 1 + told]:
        assert not phone.refused
        (bye,) = [compound for _, compound in reports(phone) if compound.byes]
        assert set(bye.byes) <= {heard.packet.ssrc for heard in phone.heard}
    assert room.engine.legs_count == 0
    before = len(room.sent)
    room.run(100)
    assert len(room.sent) == before, "and nothing after"


# -- SRTCP indices ----------------------------------------------------------------------------


@modes
@pytest.mark.parametrize("suite", ["AES_CM_128_HMAC_SHA1_32", "AEAD_AES_128_GCM"])
def test_an_srtcp_index_never_repeats(mode: str, suite: SuiteName) -> None:
    """By (key, SSRC), and by SSRC over the keys it had (RFC 3711 section 3.2.1)."""
    room = room_of(mode, suite=suite)
    for n in range(4):
        room.join(f"p{n}", tone(437.0 + 300 * n))
    for _ in range(3):
        room.run(8_000)
        if mode != "unique":
            room.prepare()
            room.activate()
    tail = (0 if SUITES[suite].aead else 10) + room.halls["c"].mki_width
    under: defaultdict[tuple[str, int, int], set[bytes]] = defaultdict(set)
    heard: defaultdict[tuple[str, int], list[int]] = defaultdict(list)
    for octets, address in dict.fromkeys((sent.octets, sent.address) for sent in room.sent):
        if naive.kind_of(octets) == "rtcp":
            word, ssrc = int.from_bytes(octets[-tail - 4 :][:4]), int.from_bytes(octets[4:8])
            assert word >> 31 == 1, "encrypted"
            under[key_of(room, suite, octets), ssrc, word & 0x7FFF_FFFF].add(octets)
            heard[address, ssrc].append(word & 0x7FFF_FFFF)
    assert len(under) >= 4
    assert all(len(packets) == 1 for packets in under.values())
    assert all(indices == sorted(set(indices)) for indices in heard.values())


def key_of(room: Room, suite: SuiteName, octets: bytes) -> str:
    """The name of the key that a report is under."""
    for name, secret in room.secrets.items():
        for mki in (b"", *(n.to_bytes(2) for n in range(20))):
            try:
                Context(suite, secret, mki=mki).unprotect_rtcp(octets)
            except Refused:
                continue
            return name
    raise AssertionError("under no key that we gave")


# -- silence ----------------------------------------------------------------------------------


def test_timeouts() -> None:
    room = room_of("unique")
    room.join("ann", tone(437.0), timeout_s=2.0)
    gone = room.join("gone", tone(1013.0), timeout_s=2.0)
    leaves = room.join("leaves", timeout_s=3.0, remove_on_timeout=True)
    room.join("patient", timeout_s=0.0)
    room.run(1000)
    gone.voice = None
    room.run(2900)
    events = room.named(LegTimeout)
    assert [(event.leg, event.removed) for event in events] == [("gone", False), ("leaves", True)] or [
        (event.leg, event.removed) for event in events
    ] == [("leaves", True), ("gone", False)]
    assert all(2.0 <= event.silent_s <= 4.0 for event in events)
    assert not room.engine.has_leg("leaves")
    assert goodbyes(leaves) == 1
    room.run(3000)
    assert len(room.named(LegTimeout)) == 2, "once"
    gone.voice = tone(1013.0)
    room.run(1000)
    gone.voice = None
    room.run(4000)
    assert [event.leg for event in room.named(LegTimeout)][2:] == ["gone"], "and again after it came back"


def test_rtcp_is_a_sign_of_life() -> None:
    room = room_of("unique")
    ear = room.join("ear", direction="recvonly", timeout_s=2.0)
    for _ in range(5):
        room.run(1000)
        assert room.inject(ear.seal(naive.pack_report(ear.ssrc)), ear.address) == "accepted"
    assert room.named(LegTimeout) == []
