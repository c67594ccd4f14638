"""Who may speak as whom: SSRCs, addresses and keys of what arrives. Only what a key vouches for moves a leg."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from mixer.batch import STRIDE, Batch
from mixer.port import AuthFailures, LegAdd, LegLatched, LegModify, SsrcConflict
from tests import naive
from tests.mixer.net import Datagram, Net
from tests.mixer.phone import Phone, tone
from tests.mixer.room import MODES, Room, fill
from tests.naive import Rtp
from tests.reference.srtp import SUITES, Context

ELSEWHERE = "198.51.100.9:7000"
modes = pytest.mark.parametrize("mode", MODES)


def pcm(value: int = 3000) -> np.ndarray[Any, np.dtype[np.int16]]:
    return np.full(160, value, np.int16)


def standing(room: Room, name: str) -> tuple[object, ...]:
    """What a stranger must not change."""
    leg = room.status(name)
    return leg.address, leg.ssrc, leg.received, leg.lost, leg.direction


def pair(mode: str = "unique", **fields: Any) -> tuple[Room, Phone, Phone]:
    room = Room()
    room.create(mode, **fields)
    ann, bob = room.join("ann", tone(437.0)), room.join("bob", tone(1013.0))
    room.run(200)
    return room, ann, bob


# -- strangers --------------------------------------------------------------------------------


@modes
def test_forged_replayed_and_clear_packets_change_nothing(mode: str) -> None:
    room, ann, _ = pair(mode)
    before = standing(room, "ann")
    forger = Context("AES_CM_128_HMAC_SHA1_80", bytes(range(30)))
    real = ann.say(pcm())
    room.inject(real, ann.address)
    after = standing(room, "ann")
    assert after[2] == int(str(before[2])) + 1
    for source in (ann.address, ELSEWHERE):
        clear = Rtp(0, ann.seq + 1, ann.timestamp, ann.ssrc, bytes(160)).pack()
        assert room.inject(forger.protect(clear), source) == "auth_failed"
        assert room.inject(clear, source) == "auth_failed"
        assert room.inject(real, source) == "replayed"
        bent = real[:-1] + bytes([real[-1] ^ 1])
        assert room.inject(bent, source) in ("auth_failed", "replayed")
        report = naive.pack_report(ann.ssrc)
        assert room.inject(forger.protect_rtcp(report), source) == "auth_failed"
        assert room.inject(report + naive.pack_bye(ann.ssrc), source) != "accepted"
    assert room.inject(Rtp(0, 1, 2, 0x1234, bytes(160)).pack(), ELSEWHERE) == "unknown_source"
    assert standing(room, "ann") == after
    assert not [event for event in room.named(LegLatched) if event.address == ELSEWHERE]
    room.run(1000)
    failures = sum(event.failures for event in room.named(AuthFailures) if event.leg == "ann")
    assert failures >= 3
    assert room.status("ann").auth_failures == failures
    room.check_tally()


def test_every_kind_of_noise_has_its_name() -> None:
    room, ann, _ = pair()
    for octets, fate in {
        b"": "truncated",
        b"\x80": "truncated",
        b"\x80\x00\x01": "truncated",
        bytes(20): "stun",
        b"\x16\xfe\xfd" + bytes(20): "dtls",
        b"\x10" + bytes(20): "zrtp",
        b"\x06" + bytes(20): "not_media",
        b"\xff" + bytes(20): "bad_version",
        b"\x80\xcc\x00\x01" + bytes(4): "unknown_source",
        b"\x90\x00" + bytes(10): "bad_extension",
        b"\x8f\x00" + bytes(10): "truncated",
        b"\x80\x00" + bytes(STRIDE): "oversized",
    }.items():
        assert room.inject(octets, ELSEWHERE) == fate
    unknown_type = Rtp(13, 5000, 0, ann.ssrc, bytes(160)).pack()
    assert room.inject(ann.seal(unknown_type), ann.address) == "unknown_payload_type"
    for size in (0, 961, 1500):
        assert room.inject(ann.seal(Rtp(0, 5001 + size % 9, 0, ann.ssrc, bytes(size)).pack()), ann.address) == (
            "bad_payload"
        )
    padded = Rtp(0, 5010, 0, ann.ssrc, b"", padding=200).pack()
    assert room.inject(ann.seal(padded[:12] + b"\xc8"), ann.address) == "bad_padding"
    room.check_tally()


def test_odd_l16_is_a_bad_payload() -> None:
    room = Room()
    room.create()
    ann = room.join("ann", codec="L16")
    assert room.inject(ann.seal(Rtp(96, 1, 0, ann.ssrc, bytes(319)).pack()), ann.address) == "bad_payload"


def test_an_unknown_mki() -> None:
    room = Room()
    room.create()
    ann = room.join("ann", rx_mki="a1b2")
    assert room.inject(ann.say(pcm()), ann.address) == "accepted"
    other = Context("AES_CM_128_HMAC_SHA1_80", room.secrets["rx:ann"], mki=b"\xff\xff")
    assert room.inject(other.protect(ann.rtp(bytes(160))), ann.address) == "unknown_mki"


def test_a_flood_is_bounded_and_counted() -> None:
    room, ann, _ = pair()
    room.arrive([Datagram(room.now_ns, n, ann.say(pcm()), ann.address) for n in range(100)])
    assert room.engine.tally.drops()["flood"] == 100 - 32
    room.check_tally()


def test_each_batch_may_be_a_new_one() -> None:
    room, ann, _ = pair()
    before = room.engine.tally.accepted
    for _ in range(10):
        batch = Batch(4)
        fill(batch, [Datagram(room.now_ns, 0, ann.say(pcm()), ann.address)])
        room.engine.receive(batch)
        room.engine.tick()
        ann.timestamp += 160
    assert room.engine.tally.accepted == before + 10


# -- addresses --------------------------------------------------------------------------------


@modes
def test_an_authentic_packet_moves_a_leg(mode: str) -> None:
    """A NAT rebinds: the leg is where its key is."""
    room, ann, bob = pair(mode)
    ann.forget()
    ann.address = ELSEWHERE
    room.run(400)
    assert room.status("ann").address == ELSEWHERE
    assert len(ann.heard) >= 19
    assert np.abs(bob.audio(100)).max() > 2500
    assert [event.address for event in room.named(LegLatched) if event.leg == "ann"][-1] == ELSEWHERE


@modes
@pytest.mark.parametrize("declare", [False, True])
def test_where_nobody_said_where(mode: str, declare: bool) -> None:
    """Without `remote`, nothing is sent before an authentic packet came."""
    room = Room()
    room.create(mode)
    ann = room.join("ann", known=False, declare=declare)
    bob = room.join("bob", known=False, declare=declare)
    room.run(100)
    assert room.sent == []
    assert room.status("ann").address == ""
    ann.voice = tone(437.0)
    bob.voice = tone(1013.0)
    room.run(300)
    assert room.status("ann").address == ann.address
    assert room.status("ann").ssrc == ann.ssrc
    assert np.abs(ann.audio(100)).max() > 2500
    assert np.abs(bob.audio(100)).max() > 2500
    assert room.engine.tally.drops() == {}


def test_control_may_move_a_leg() -> None:
    room, ann, _ = pair()
    ann.voice = None
    ann.address = ELSEWHERE
    room.apply(LegModify(leg="ann", remote=ELSEWHERE))
    ann.forget()
    room.run(200)
    assert len(ann.heard) == 10
    ann.voice = tone(437.0)
    room.run(300)
    assert room.status("ann").address == ELSEWHERE
    assert room.engine.tally.drops() == {}


def test_ipv6() -> None:
    room = Room()
    room.create()
    ann = room.join("ann", tone(437.0), known=False, phone={"address": "[2001:db8::7]:5004"})
    bob = room.join("bob", tone(1013.0), known=False, phone={"address": "[2001:db8::8]:5004"})
    room.run(300)
    assert room.status("ann").address == "[2001:db8::7]:5004"
    assert np.abs(ann.audio(100)).max() > 2500
    assert np.abs(bob.audio(100)).max() > 2500


def test_two_legs_of_two_conferences_at_one_address() -> None:
    """One endpoint, two calls, one port: the key tells."""
    room = Room()
    room.create(name="c")
    room.create(name="d")
    for hall in "cd":
        room.join(f"{hall}1", tone(437.0), hall=hall, known=False, phone={"address": ELSEWHERE})
        room.join(f"{hall}2", hall=hall)
    room.run(300)
    for hall in "cd":
        assert room.status(f"{hall}1").ssrc == room.phones[f"{hall}1"].ssrc
        assert np.abs(room.phones[f"{hall}2"].audio(100)).max() > 2500
    assert room.engine.tally.drops() == {}


# -- own ports --------------------------------------------------------------------------------


@modes
def test_a_port_of_its_own(mode: str) -> None:
    room = Room()
    room.create(mode)
    room.join("shared", tone(437.0))
    own = room.join("own", tone(1013.0), own_port=True, known=False)
    assert own.local >= 2
    assert own.local % 2 == 0
    assert room.phones["shared"].local == 0
    room.run(300)
    assert room.status("own").address == own.address
    assert {sent.local for sent in room.sent if sent.address == own.address} == {own.local}
    assert {sent.local for sent in room.sent if sent.address != own.address} == {0}
    assert np.abs(own.audio(100)).max() > 2500
    assert room.inject(own.say(pcm()), own.address, local=own.local + 2) != "accepted", "a port of nobody"
    room.leave("own")
    assert room.inject(own.say(pcm()), own.address, local=own.local) == "unknown_source"


@pytest.mark.parametrize("own_port", [False, True])
def test_rtcp_beside_the_media(own_port: bool) -> None:
    """Without rtcp-mux reports come and go one port up."""
    room = Room()
    room.create()
    ann = room.join("ann", tone(437.0), own_port=own_port, rtcp_mux=False)
    host, _, port = ann.address.rpartition(":")
    beside = f"{host}:{int(port) + 1}"
    room.run(100)
    assert room.inject(ann.seal(naive.pack_report(ann.ssrc)), beside, local=ann.local + 1) == "accepted"
    room.run(9000)
    reports = [sent for sent in room.sent if naive.kind_of(sent.octets) == "rtcp"]
    assert reports
    assert {(sent.address, sent.local) for sent in reports} == {(beside, ann.local + 1)}


# -- SSRCs ------------------------------------------------------------------------------------


@modes
def test_a_second_claimant_is_refused_and_the_first_unharmed(mode: str) -> None:
    room, ann, bob = pair(mode)
    intruder = room.join("cid", tone(1709.0), phone={"ssrc": ann.ssrc})
    ann.forget()
    room.run(400)
    assert room.engine.tally.drops() == {"ssrc_conflict": 20}
    (event,) = room.named(SsrcConflict)
    assert (event.leg, event.owner, event.ssrc) == ("cid", "ann", ann.ssrc)
    assert room.status("cid").ssrc == 0
    assert room.status("ann").auth_failures == 0
    assert len(ann.heard) == 20
    assert room.status("ann").lost == 0
    assert np.abs(bob.audio(100)).max() < 3200, "one voice, not two"
    room.leave("ann")
    room.run(400)
    assert room.status("cid").ssrc == intruder.ssrc, "free again"


@modes
def test_changing_to_the_ssrc_of_another_is_refused(mode: str) -> None:
    room, ann, bob = pair(mode)
    own, bob.ssrc = bob.ssrc, ann.ssrc
    room.run(300)
    assert room.engine.tally.drops() == {"ssrc_conflict": 15}
    assert room.status("bob").ssrc == own
    bob.ssrc = own
    room.run(100)
    assert room.engine.tally.drops() == {"ssrc_conflict": 15}


@modes
def test_loops_are_dropped(mode: str) -> None:
    """What we sent comes back, as it was, or under a key of somebody who may speak (RFC 3550 section 8.2)."""
    room, ann, bob = pair(mode)
    ours = bob.heard[-1].packet.ssrc
    echo = [sent for sent in room.sent if sent.address == bob.address][-1]
    assert room.inject(echo.octets, bob.address) == "loop"
    assert room.inject(echo.octets, ELSEWHERE) == "loop"
    ann.ssrc = ours
    assert room.inject(ann.say(pcm()), ann.address) == "loop"
    refusal = LegAdd(conference="c", leg="x", rx=room.key("r"), tx=room.key("t", mki=bob_mki(room)), ssrc=ours)
    with pytest.raises(Exception, match=str(ours)):
        room.apply(refusal)


def bob_mki(room: Room) -> str:
    return room.mki(room.halls["c"].mki_width)


def test_a_declared_ssrc_is_the_only_one() -> None:
    room = Room()
    room.create()
    ann = room.join("ann", declare=True)
    assert room.inject(ann.say(pcm()), ann.address) == "accepted"
    room.run(300)
    ann.ssrc += 1
    assert room.inject(ann.say(pcm()), ann.address) in ("unknown_source", "auth_failed")
    assert room.status("ann").ssrc == ann.ssrc - 1


@modes
def test_a_new_ssrc_of_the_same_leg(mode: str) -> None:
    """A client that restarts: other SSRC, sequence and timestamps, ROC 0 again."""
    room, ann, bob = pair(mode)
    room.run(300)
    ann.ssrc, ann.seq, ann.timestamp = 0xABCD_EF01, 77, 99
    room.run(500)
    status = room.status("ann")
    assert status.ssrc == 0xABCD_EF01
    assert status.lost == 0
    assert status.received == 50
    assert np.abs(bob.audio(200)).max() > 2500
    assert room.inject(ann.say(pcm()), ann.address) == "accepted"
    assert {heard.packet.csrcs for heard in bob.heard[-3:]} == {(0xABCD_EF01,)}


def test_ssrc_zero_is_an_ssrc() -> None:
    room, ann, bob = pair()
    ann.ssrc = 0
    room.run(300)
    room.leave("ann")
    room.run(100)
    assert len(bob.heard) == 30
    room.check_tally()


# -- group uplink -----------------------------------------------------------------------------


def test_group_uplink() -> None:
    """A group key vouches for a member, not for which one: SSRC and first address are fixed."""
    room = Room()
    room.create("ssrc", uplink=True)
    ann = room.join("ann", tone(437.0), uplink="group", declare=True, known=False)
    bob = room.join("bob", tone(1013.0), uplink="group", declare=True)
    room.run(300)
    assert room.engine.tally.drops() == {}
    assert room.status("ann").address == ann.address
    assert np.abs(bob.audio(100)).max() > 2500
    before = standing(room, "ann")
    assert ann.uplink is not None
    member = Context("AES_CM_128_HMAC_SHA1_80", room.secrets["c/uplink"])
    stolen = member.protect(Rtp(0, ann.seq + 10, ann.timestamp, ann.ssrc, bytes(160)).pack())
    assert room.inject(stolen, ELSEWHERE) == "unknown_source"
    undeclared = member.protect(Rtp(0, 1, 1, 0x77, bytes(160)).pack())
    assert room.inject(undeclared, bob.address) != "accepted"
    as_ann = member.protect(Rtp(0, ann.seq + 11, ann.timestamp, ann.ssrc, bytes(160)).pack())
    assert room.inject(as_ann, bob.address) in ("ssrc_conflict", "unknown_source")
    assert standing(room, "ann") == before


# -- clear RTP --------------------------------------------------------------------------------


def test_clear_both_ways() -> None:
    room = Room()
    room.create()
    ann = room.join("ann", tone(437.0), clear=True)
    bob = room.join("bob", tone(1013.0), clear=True, known=False)
    room.run(300)
    assert np.abs(ann.audio(100)).max() > 2500
    assert np.abs(bob.audio(100)).max() > 2500
    again = ann.rtp(bytes(160))
    assert room.inject(again, ann.address) == "accepted"
    assert room.inject(again, ann.address) == "duplicate"
    assert room.inject(ann.rtp(bytes(160)), ELSEWHERE) == "unknown_source"
    assert room.inject(bob.rtp(bytes(160)), ELSEWHERE) == "unknown_source", "the first address is the address"
    assert room.inject(naive.pack_report(ann.ssrc) + naive.pack_bye(ann.ssrc), ELSEWHERE) == "unknown_source"
    assert room.inject(naive.pack_report(ann.ssrc), ann.address) == "accepted"


def test_a_clear_leg_does_not_swallow_what_others_encrypt() -> None:
    room = Room()
    room.create()
    room.join("bare", clear=True, known=False)
    ann = room.join("ann", tone(437.0), known=False)
    room.run(200)
    assert room.status("ann").ssrc == ann.ssrc
    assert room.status("bare").ssrc == 0


# -- the network ------------------------------------------------------------------------------

NETS = {
    "loss": Net(1, loss=0.1),
    "jitter": Net(2, delay_ms=20, jitter_ms=30),
    "duplicates": Net(3, duplicates=0.3, jitter_ms=10),
    "all": Net(4, loss=0.05, delay_ms=10, jitter_ms=60, duplicates=0.1),
}


@modes
@pytest.mark.parametrize("name", NETS)
def test_tally_and_statistics_after_a_bad_network(mode: str, name: str) -> None:
    like = NETS[name]
    net = Net(like.seed, like.loss, like.delay_ms, like.jitter_ms, like.duplicates)
    room = Room(net=net)
    room.create(mode)
    phones = [room.join(f"p{n}", tone(437.0 + 300 * n)) for n in range(3)]
    room.run(3000)
    room.check_tally()
    assert room.engine.tally.received >= net.carried - 12
    drops = room.engine.tally.drops()
    assert set(drops) <= {"replayed", "late"}
    if not like.duplicates:
        assert set(drops) <= {"late"}
    lost = sum(room.status(phone.name).lost for phone in phones)
    assert abs(lost - net.lost) <= 6, "but for the first and what is on its way"
    for phone in phones:
        assert len(phone.heard) == 150
        assert not phone.refused


@pytest.mark.parametrize("suite", SUITES)
def test_one_mute_packet_of_each_suite(suite: Any) -> None:
    room = Room()
    room.create(suite=suite)
    ann = room.join("ann")
    assert room.inject(ann.say(pcm()), ann.address) == "accepted"
