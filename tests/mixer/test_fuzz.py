"""Whatever a datagram holds: `receive` never raises, each has one fate, and no leg is made or moved."""

from __future__ import annotations

from functools import cache
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from mixer.batch import STRIDE
from tests import naive
from tests.mixer.net import Datagram
from tests.mixer.packets import datagram, mutated, rtp
from tests.mixer.phone import Phone, tone
from tests.mixer.room import MODES, Room
from tests.naive import Block, Rtp

ELSEWHERE = "198.51.100.9:7000"
KINDS = (*MODES, "clear", "roc", "nameless")


@cache
def standing_room() -> Room:
    """Legs of every kind, in the middle of a talk; shared by all examples, as by all strangers."""
    room = Room(max_legs=64)
    for mode in MODES:
        room.create(mode, mode, mki_width=2)
        for name in ("talks", "listens"):
            room.join(f"{mode}/{name}", tone(437.0) if name == "talks" else None, hall=mode, rx_mki="0a0b")
    room.join("clear/talks", tone(1013.0), hall="unique", clear=True)
    room.join("own/talks", tone(1709.0), hall="unique", own_port=True, known=False, declare=True)
    room.join("roc/waits", hall="ssrc", known=False, roc=3)
    room.join("nameless/waits", hall="mki", known=False)
    room.run(100)
    return room


def standing(room: Room) -> list[tuple[Any, ...]]:
    return [
        (leg.leg, leg.address, leg.ssrc, leg.received, leg.lost, leg.talking)
        for hall in room.engine_halls()
        for leg in room.show(hall).legs
    ]


def throw(packets: list[tuple[bytes, str, int]], *, clear_may_count: bool = True) -> None:
    """Datagrams that nobody authenticated arrive in one batch."""
    room = standing_room()
    before, received = standing(room), room.engine.tally.received
    accepted = room.engine.tally.accepted
    room.arrive([Datagram(room.now_ns, n, *packet) for n, packet in enumerate(packets)])
    assert room.engine.tally.received == received + len(packets)
    room.check_tally()
    if not clear_may_count:
        assert room.engine.tally.accepted == accepted
    after = standing(room)
    for was, now in zip(before, after, strict=True):
        if was[0] != "clear/talks":
            assert now == was
        assert now[1] == was[1], "nobody moved"
    room.engine.tick()


def sources() -> st.SearchStrategy[str]:
    room = standing_room()
    return st.sampled_from([ELSEWHERE, *(phone.address for phone in room.phones.values())])


def locals_() -> st.SearchStrategy[int]:
    own = standing_room().phones["own/talks"].local
    return st.sampled_from([0, 0, 0, 1, own, own + 1, own + 2, 2, 3])


@settings(max_examples=60)
@given(st.data())
def test_noise(data: st.DataObject) -> None:
    size = data.draw(st.integers(1, 24))
    throw([(data.draw(datagram()), data.draw(sources()), data.draw(locals_())) for _ in range(size)])


@settings(max_examples=40)
@given(st.data())
def test_packets_that_name_a_leg(data: st.DataObject) -> None:
    """The right SSRC, from the right place, of any form: only the key is missing."""
    phones = list(standing_room().phones.values())
    packets = []
    for _ in range(data.draw(st.integers(1, 24))):
        phone = data.draw(st.sampled_from(phones))
        octets = bytearray(data.draw(rtp()).pack())
        at = 4 if data.draw(st.booleans()) else 8
        octets[at : at + 4] = phone.ssrc.to_bytes(4)
        if at == 4:
            octets[1] = data.draw(st.integers(192, 223))
        packets.append((bytes(octets), data.draw(sources()), data.draw(locals_())))
    throw(packets)


@settings(max_examples=60)
@given(st.data())
def test_damaged_packets(data: st.DataObject) -> None:
    """Real ones, a few octets changed, cut or added."""
    room = standing_room()
    packets = []
    for _ in range(data.draw(st.integers(1, 12))):
        phone = data.draw(st.sampled_from([p for p in room.phones.values() if p.uplink]))
        whole = sealed(phone, data.draw(st.booleans()))
        bent = data.draw(mutated(whole))
        if bent[: len(whole)] != whole and naive.kind_of(bent) in ("rtp", "rtcp"):
            packets.append((bent, data.draw(sources()), 0))
    throw([packet for packet in packets if tampered(packet[0])])


@cache
def originals() -> set[bytes]:
    return set()


def sealed(phone: Phone, rtcp: bool) -> bytes:
    octets = phone.seal(naive.pack_report(phone.ssrc)) if rtcp else phone.seal(phone.rtp(bytes(160)))
    originals().add(octets)
    return octets


def tampered(octets: bytes) -> bool:
    """Not one of ours: changes may undo themselves."""
    return octets not in originals()


@settings(max_examples=80)
@given(st.data())
def test_malformed_rtcp_inside_good_srtcp(data: st.DataObject) -> None:
    """Authentic, and nonsense: it is read to its end, and counted."""
    room = standing_room()
    phone = data.draw(st.sampled_from([p for p in room.phones.values() if p.uplink and "waits" not in p.name]))
    head = bytes([0x80 | data.draw(st.integers(0, 63)), data.draw(st.integers(192, 223))])
    body = data.draw(st.binary(max_size=90))
    size = data.draw(st.sampled_from([len(body) // 4 + 1, 0, 1, 7, 0xFFFF]))
    octets = head + size.to_bytes(2) + phone.ssrc.to_bytes(4) + body
    assert phone.uplink is not None
    fate = room.inject(phone.uplink.protect_rtcp(octets), phone.address, phone.local)
    assert fate in ("accepted", "bad_rtcp", "auth_failed", "overload")
    room.check_tally()
    room.engine.tick()


@settings(max_examples=60)
@given(st.data())
def test_malformed_rtp_inside_good_srtp(data: st.DataObject) -> None:
    """A member may send what it likes: its leg may change, nothing raises, nobody else is moved."""
    room = standing_room()
    room.engine.tick()  # a budget that earlier tests have not spent
    phone = data.draw(st.sampled_from([p for p in room.phones.values() if p.uplink and "waits" not in p.name]))
    drawn = data.draw(rtp())
    phone.seq = phone.seq + 1 & 0xFFFF
    payload = data.draw(st.binary(max_size=60) | st.integers(0, STRIDE - 200).map(bytes))
    packet = Rtp(
        data.draw(st.sampled_from([0, 0, 13, 127])),
        phone.seq,
        drawn.timestamp if data.draw(st.booleans()) else phone.timestamp,
        phone.ssrc,
        payload,
        drawn.marker,
        drawn.csrcs,
        drawn.profile,
        drawn.extension,
        drawn.padding,
    )
    octets = bytearray(packet.pack())
    if data.draw(st.booleans()) and octets[0] & 0x20:
        octets[-1] = data.draw(st.integers(0, 255))
    others = [was for was in standing(room) if was[0] != phone.name]
    assert phone.uplink is not None
    sealed = phone.uplink.protect(bytes(octets))
    fate = room.inject(sealed, phone.address, phone.local)
    fates = {"accepted", "unknown_payload_type", "bad_payload", "bad_padding", "late", "replayed"}
    assert fate in (fates if len(sealed) <= STRIDE else {"oversized"})
    assert [now for now in standing(room) if now[0] != phone.name] == others
    room.engine.tick()
    room.check_tally()


@settings(max_examples=30)
@given(st.lists(st.integers(0, STRIDE + 500), min_size=1, max_size=20), st.integers(0, 255))
def test_every_length(lengths: list[int], filling: int) -> None:
    throw([(bytes([filling]) * length, ELSEWHERE, 0) for length in lengths], clear_may_count=False)


def test_reports_about_anything() -> None:
    room = standing_room()
    phone = room.phones["unique/talks"]
    mine = phone.heard[-1].packet.ssrc
    for extreme in (0, 1, 0x7FFF_FFFF, 0xFFFF_FFFF):
        block = Block(mine, 255, -(1 << 23), extreme, extreme, extreme, extreme)
        octets = naive.pack_report(phone.ssrc, [block] * 31, (extreme << 32 | extreme, 0, extreme, extreme))
        assert room.inject(phone.seal(octets), phone.address) == "accepted"
        room.show("unique")
        room.run(20)
