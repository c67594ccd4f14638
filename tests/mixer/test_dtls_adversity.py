"""DTLS-SRTP legs on a bad network, and among people who mean harm."""

from __future__ import annotations

import itertools
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mixer import handshakes, port
from mixer.dtls import client_random
from mixer.port import LegInsecure, LegSecured
from tests.mixer.dtlsphone import DtlsPhone, Peer, call
from tests.mixer.phone import tone
from tests.mixer.room import Room
from tests.mixer.test_dtls import ROLES, assert_both_hear, room_with_bob
from tests.tones import assert_hears

SECOND_S = 1.05
"""OpenSSL's first retransmission, by the real clock."""


# -- the network


def test_the_loss_of_any_datagram_is_made_good() -> None:
    """All cases wait side by side, for OpenSSL's timers read the real clock."""
    cases: list[tuple[Room, DtlsPhone]] = []
    for role, number, ears in itertools.product(ROLES, range(8), (False, True)):
        room = room_with_bob()
        phone = call(room, "ann", tone(440), role=role)
        (phone.deaf if ears else phone.lose).add(number)
        cases.append((room, phone))
    for _ in range(4):
        for room, _phone in cases:
            room.run(300)
        if all(room.named(LegSecured) and phone.taken for room, phone in cases):
            break
        time.sleep(SECOND_S)
        for _, phone in cases:
            assert phone.peer
            phone.peer.connection.DTLSv1_handle_timeout()  # Peer has no ticks
    for room, phone in cases:
        assert len(room.named(LegSecured)) == 1, (phone.lose, phone.deaf)
        assert not room.named(LegInsecure)
        assert_both_hear(room, phone, 1100)


@pytest.mark.parametrize("role", ROLES)
def test_everything_comes_twice(role: port.DtlsRole) -> None:
    room = room_with_bob()
    room.net.duplicates = 1.0
    phone = call(room, "ann", tone(440), role=role)
    assert_both_hear(room, phone)
    assert len(room.named(LegSecured)) == 1


@pytest.mark.parametrize("role", ROLES)
def test_garbage_in_between_changes_nothing(role: port.DtlsRole) -> None:
    room = room_with_bob()
    phone = call(room, "ann", tone(440), role=role)
    for number in range(20):
        room.inject(bytes([20 + number % 44]) + bytes(number * 3), phone.address)
        room.inject(b"\x16\xfe\xff" + bytes(60), phone.address)
        room.step()
    assert_both_hear(room, phone)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(20, 63), st.binary(max_size=200)), max_size=8), st.sampled_from(ROLES))
def test_any_octets_are_survived(noise: list[tuple[int, bytes]], role: port.DtlsRole) -> None:
    room = room_with_bob()
    phone = call(room, "ann", role=role)
    for first, rest in noise:
        room.inject(bytes([first]) + rest, phone.address)
        room.inject(b"\x16\xfe\xfd\0\0" + rest, "203.0.113.9:9")
        room.step()
    room.check_tally()
    assert not room.named(LegSecured) or phone.peer


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 12), st.integers(0, 700), st.integers(1, 255), st.sampled_from(ROLES))
def test_a_flipped_octet_is_survived(number: int, at: int, flip: int, role: port.DtlsRole) -> None:
    """In any flight: OpenSSL reads certificates before it knows whose they are."""
    room = room_with_bob()
    phone = call(room, "ann", role=role)
    phone.spoil = lambda count, octets: _flipped(octets, at, flip) if count == number else octets
    room.run(300)
    room.check_tally()
    assert bool(room.named(LegSecured)) == (room.status("ann").suite != "")


def _flipped(octets: bytes, at: int, flip: int) -> bytes:
    changed = bytearray(octets)
    changed[13 + at % max(1, len(octets) - 13)] ^= flip
    return bytes(changed)


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=80))
def test_a_client_hello_is_told_from_anything(octets: bytes) -> None:
    random = client_random(octets)
    assert random is None or len(random) == 32


# -- strangers


def in_progress(room: Room) -> int:
    return room.engine.handshakes.in_progress


def hello(name: str = "stranger") -> tuple[Peer, bytes]:
    peer = Peer(name, client=True)
    return peer, peer.hello()


def test_without_a_dtls_leg_nothing_is_answered() -> None:
    room = room_with_bob()
    room.run(100)
    room.sent.clear()
    assert room.inject(hello()[1], "203.0.113.9:9") == "dtls"
    room.run(100)
    assert not [sent for sent in room.sent if sent.address == "203.0.113.9:9"]


def test_who_has_not_proved_its_address_gets_no_more_than_it_sent() -> None:
    room = room_with_bob()
    call(room, "ann").peer = None
    _, octets = hello()
    for _ in range(20):
        room.inject(octets, "203.0.113.9:9")
        room.step()
    answers = [sent.octets for sent in room.sent if sent.address == "203.0.113.9:9"]
    assert len(answers) == 20
    assert all(len(answer) < len(octets) for answer in answers)
    assert not in_progress(room), "and nothing is remembered"


def test_a_cookie_is_good_for_its_own_source_and_time_only() -> None:
    room = room_with_bob()
    call(room, "ann").peer = None
    peer, octets = hello()
    room.inject(octets, "203.0.113.9:9")
    room.step()
    peer.receive(next(sent.octets for sent in room.sent if sent.address == "203.0.113.9:9"))
    (second,) = peer.take()
    room.inject(second, "203.0.113.9:10")
    room.step()
    assert not in_progress(room)
    room.inject(second, "203.0.113.9:9")
    room.step()
    assert in_progress(room) == 1
    room.run(65_000)
    assert not in_progress(room)
    room.inject(second, "203.0.113.9:9")
    room.step()
    assert not in_progress(room)


@pytest.mark.parametrize("own_port", [False, True])
def test_strangers_who_answer_are_bounded_and_forgotten(own_port: bool) -> None:
    room = room_with_bob()
    phone = call(room, "ann", tone(440), own_port=own_port)
    waiting, phone.peer = phone.peer, None
    peers = {f"203.0.113.{number}:9": hello() for number in range(100)}
    for address, (_, octets) in peers.items():
        room.inject(octets, address, phone.local)
    room.run(300)
    for sent in room.sent:
        if sent.address in peers:
            peers[sent.address][0].receive(sent.octets)
    for address, (peer, _) in peers.items():
        for octets in peer.take():
            room.inject(octets, address, phone.local)
    room.run(300)
    assert in_progress(room) == handshakes.STRANGERS
    phone.peer = waiting
    assert_both_hear(room, phone)  # who is expected has its place
    room.run(40_000)
    assert not in_progress(room)
    assert room.engine.handshakes.failed == handshakes.STRANGERS


@pytest.mark.parametrize("own_port", [False, True])
def test_a_stranger_with_a_wrong_certificate_is_refused_and_disturbs_nobody(own_port: bool) -> None:
    room = room_with_bob()
    phone = call(room, "ann", tone(440), own_port=own_port)
    peer, octets = hello("mallory")
    for _ in range(6):
        room.inject(octets, "203.0.113.9:9", phone.local)
        room.step()
        for sent in room.sent:
            if sent.address == "203.0.113.9:9":
                peer.receive(sent.octets)
        room.sent.clear()
        octets = b"".join(peer.take()) or b"\x16"
    assert peer.error
    assert not room.named(LegInsecure)
    assert room.engine.handshakes.failed == 1
    assert_both_hear(room, phone)


def test_a_flood_of_hellos_is_bounded() -> None:
    room = room_with_bob()
    phone = call(room, "ann", tone(440))
    waiting, phone.peer = phone.peer, None
    _, octets = hello()
    for number in range(2000):
        room.inject(octets, f"198.51.{number % 250}.{number // 250 + 1}:9")
    assert room.engine.tally.drops()["overload"] == 2000 - handshakes.WAITING
    before = len(room.sent)
    room.step()
    answers = [sent for sent in room.sent[before:] if sent.address.startswith("198.51.")]
    assert len(answers) == handshakes.HELLOS
    phone.peer = waiting  # who is expected does not stand in their line
    room.run(160)
    assert phone.taken
    room.run(1000)
    assert_both_hear(room, phone)


@pytest.mark.parametrize(("octets", "most"), [(1400, 40), (14, 140)])
def test_octets_of_one_handshake_are_bounded(octets: int, most: int) -> None:
    """However small the datagrams are: nobody may fill the line that all handshakes wait in."""
    room = room_with_bob()
    phone = call(room, "ann", tone(440))
    room.run(60)
    noise = (b"\x16\xfe\xfd\0\1" + bytes(1400))[:octets]
    fates = [room.inject(noise, phone.address) for _ in range(most)]
    assert fates[0] == "accepted"
    assert fates[-1] == "overload"
    room.check_tally()


def test_a_burst_of_calls_is_spread_over_ticks() -> None:
    room = Room(max_legs=64)
    room.create()
    phones = [call(room, f"ann{number}") for number in range(40)]
    room.run(1500)
    assert sorted(event.leg for event in room.named(LegSecured)) == sorted(phone.name for phone in phones)
    assert not room.named(LegInsecure)
    room.check_tally()


# -- a running leg


@pytest.mark.parametrize("moved", [False, True])
def test_another_handshake_gives_other_keys(moved: bool) -> None:
    room = room_with_bob()
    phone = call(room, "ann", tone(440))
    assert_both_hear(room, phone)
    assert phone.uplink
    first = phone.uplink
    phone.again("ann")
    if moved:
        phone.address = "203.0.113.7:7070"
    assert_both_hear(room, phone)
    assert phone.uplink is not first
    assert len(room.named(LegSecured)) == 2
    assert room.status("ann").address == phone.address
    assert room.status("ann").auth_failures == 0


def test_late_packets_under_the_key_before_are_accepted_for_a_moment() -> None:
    room = room_with_bob()
    phone = call(room, "ann", tone(440))
    room.run(400)
    assert phone.uplink
    late = [phone.say(np.zeros(160, np.int16)) for _ in range(2)]
    phone.again("ann")
    while len(room.named(LegSecured)) < 2:
        room.step()
    assert room.inject(late[0], phone.address) in ("accepted", "late")
    room.run(1500)
    assert room.inject(late[1], phone.address) == "auth_failed"


def test_another_certificate_later_changes_nothing() -> None:
    room = room_with_bob()
    phone = call(room, "ann", tone(440))
    assert_both_hear(room, phone)
    phone.again("mallory")
    assert_both_hear(room, phone)
    assert len(room.named(LegSecured)) == 1
    assert not room.named(LegInsecure), "the leg has its keys"


def test_a_replayed_handshake_changes_nothing() -> None:
    room = room_with_bob()
    phone = call(room, "ann", tone(440))
    room.run(200)
    for octets in phone.said:
        room.inject(octets, phone.address)
        room.step()
    assert_both_hear(room, phone)
    room.run(15_000)
    assert len(room.named(LegSecured)) == 1
    assert not room.named(LegInsecure)
    assert_both_hear(room, phone)


# -- RTCP on a port of its own


def with_rtcp(room: Room, role: port.DtlsRole, shows: str = "") -> tuple[DtlsPhone, DtlsPhone]:
    """A phone without rtcp-mux, and what it is at its RTCP port."""
    phone = call(room, "ann", tone(440), role=role, rtcp_mux=False)
    host, _, number = phone.address.rpartition(":")
    rtcp = DtlsPhone("ann/rtcp", f"{host}:{int(number) + 1}", phone.ssrc, local=phone.local | 1, born_ns=room.now_ns)
    rtcp.peer = Peer(shows or "ann", client=role == "passive")
    room.phones["ann/rtcp"] = rtcp
    return phone, rtcp


@pytest.mark.parametrize("role", ROLES)
def test_without_mux_rtcp_has_keys_of_its_own(role: port.DtlsRole) -> None:
    room = room_with_bob()
    phone, rtcp = with_rtcp(room, role)
    assert_both_hear(room, phone)
    assert len(room.named(LegSecured)) == 1
    room.run(9000)
    assert not phone.rtcp
    assert rtcp.rtcp
    assert not rtcp.refused
    assert rtcp.uplink
    assert rtcp.uplink.rtp is not (phone.uplink and phone.uplink.rtp)
    report = b"\x80\xc9\0\1" + phone.ssrc.to_bytes(4)
    assert room.inject(rtcp.seal(report), rtcp.address, rtcp.local) == "accepted"
    for _ in range(3):  # libsrtp looks for replays before it authenticates: get past what came before
        phone.seal(report)
    assert room.inject(phone.seal(report), rtcp.address, rtcp.local) == "auth_failed"


def test_without_its_handshake_there_is_no_rtcp() -> None:
    room = room_with_bob()
    phone, rtcp = with_rtcp(room, "passive", shows="mallory")
    assert_both_hear(room, phone)
    room.run(9000)
    assert not rtcp.rtcp
    assert not rtcp.refused
    room.apply(port.LegRemove(leg="ann"))
    room.run(100)
    assert not rtcp.refused


def test_new_keys_for_rtcp_too() -> None:
    room = room_with_bob()
    phone, rtcp = with_rtcp(room, "passive")
    assert_both_hear(room, phone)
    phone.again("ann")
    rtcp.again("ann")
    assert_both_hear(room, phone)
    rtcp.forget()
    room.run(9000)
    assert rtcp.rtcp
    assert not rtcp.refused


def test_a_mux_leg_takes_no_handshake_at_the_rtcp_port() -> None:
    room = room_with_bob()
    phone = call(room, "ann", tone(440))
    phone.local = 1
    room.run(400)
    assert not room.named(LegSecured)
    assert_hears(room.phones["bob"].sound(), present=set(), absent={440}, seconds=0.3)
