"""What is sent in place of sound: keys of telephones (RFC 4733), in and out, and comfort noise (RFC 3389)."""

from __future__ import annotations

import pytest

from mixer.port import Dtmf, LegDial, PortError, Refusal
from tests.mixer.phone import Phone, tone
from tests.mixer.room import MODES, Room
from tests.mixer.test_engine_codecs import FINE
from tests.mixer.test_engine_sound import hear

modes = pytest.mark.parametrize("mode", MODES)


def event(code: int, duration: int, *, end: bool = False) -> bytes:
    """A telephone event (RFC 4733 section 2.3)."""
    return bytes([code, 0x80 * end | 10]) + duration.to_bytes(2)


def press(room: Room, phone: Phone, code: int) -> None:
    """Press a key for 100 ms, with the end sent three times."""
    audio, phone.payload_type = phone.payload_type, 101
    began = phone.timestamp
    for k in range(1, 8):
        octets = phone.rtp(event(code, min(k, 5) * 160, end=k >= 5), began)
        assert room.inject(phone.seal(octets), phone.address) == "accepted"
        room.step()
    phone.payload_type = audio


def test_keys_are_told_once() -> None:
    room = Room()
    room.create("unique")
    ann = room.join("ann", dtmf=101)
    room.run(40)
    for code in (4, 2, 2, 11):
        press(room, ann, code)
        ann.timestamp += 1600
    keys = [told for told in room.events if isinstance(told, Dtmf)]
    assert [told.key for told in keys] == ["4", "2", "2", "#"]
    assert [told.duration_ms for told in keys] == [100] * 4
    room.check_tally()


def test_a_key_of_a_leg_without_events_is_dropped() -> None:
    room = Room()
    room.create("unique")
    ann = room.join("ann", phone={"payload_type": 101})
    assert room.inject(ann.seal(ann.rtp(event(4, 160))), ann.address) == "unknown_payload_type"
    assert not [told for told in room.events if isinstance(told, Dtmf)]


def test_events_that_are_none_are_dropped() -> None:
    room = Room()
    room.create("unique")
    ann = room.join("ann", dtmf=101, phone={"payload_type": 101})
    for payload in (b"", b"\x04", event(200, 160), event(4, 0), bytes(5)):
        assert room.inject(ann.seal(ann.rtp(payload)), ann.address) == "bad_payload"


@modes
def test_a_silent_conference_is_told_as_comfort_noise(mode: str) -> None:
    room = Room()
    room.create(mode)
    ann = room.join("ann", tone(437.0))
    ear = room.join("ear", comfort_noise=13, direction="recvonly", rx=None)
    plain = room.join("plain", direction="recvonly", rx=None)
    room.run(600)
    assert {heard.packet.payload_type for heard in ear.heard[5:]} == {0}
    ann.voice = None
    room.run(1500)
    last = ear.heard[-10:]
    assert [(heard.packet.payload_type, len(heard.packet.payload)) for heard in last] == [(13, 1)] * 10
    assert {heard.packet.payload_type for heard in plain.heard} == {0}
    ann.voice = tone(437.0)
    ear.forget()
    room.run(600)
    assert abs(hear(ear, 437.0)) < 1
    assert not ear.refused


def test_comfort_noise_of_a_leg_is_taken_for_silence() -> None:
    room = Room()
    room.create("unique")
    ann = room.join("ann", tone(437.0), comfort_noise=13)
    room.run(400)
    ann.voice, ann.payload_type = None, 13
    for _ in range(50):
        assert room.inject(ann.seal(ann.rtp(b"\x32")), ann.address) == "accepted"
        room.step()
    assert room.show().talkers == []
    room.check_tally()


@modes
@pytest.mark.parametrize("codec", ["PCMU", "opus"])
def test_keys_are_dialled(mode: str, codec: str) -> None:
    """Only the leg that is dialled is told, on its stream, at the time of each key's beginning; then it hears on."""
    room = Room()
    rate = {"PCMU": 8000, "opus": 48000}[codec]
    room.create(mode, rate=rate)
    room.join("ann", tone(437.0, rate), codec=codec, opus=FINE if codec == "opus" else None)
    opus = FINE if codec == "opus" else None
    bob = room.join("bob", codec=codec, opus=opus, dtmf=101, dtmf_out=102)
    ear = room.join("ear", codec=codec, opus=opus, direction="recvonly", rx=None, dtmf=101)
    room.run(600)
    bob.forget()
    ear.forget()
    room.apply(LegDial(leg="bob", digits="4#"))
    room.run(1000)
    told = [heard.packet for heard in bob.heard if heard.packet.payload_type == 102]
    assert [packet.payload[0] for packet in told] == [4] * (len(told) // 2) + [11] * (len(told) // 2)
    assert len({packet.timestamp for packet in told}) == 2
    assert [packet.marker for packet in told].count(True) == 2
    assert [bool(packet.payload[1] & 0x80) for packet in told].count(True) == 6
    durations = [int.from_bytes(packet.payload[2:]) for packet in told[:5]]
    assert durations == [rate // 50 * k for k in range(1, 6)]
    assert {heard.packet.payload_type for heard in ear.heard} == {bob.payload_type}
    assert abs(hear(bob, 437.0, 300)) < 1
    assert not bob.refused


def test_what_cannot_be_dialled_is_refused() -> None:
    room = Room()
    room.create("mki")
    room.join("deaf")
    room.join("ear", dtmf=101, direction="recvonly", rx=None, tx=None)
    room.join("bob", dtmf=101)
    for leg, digits, refusal in (
        ("nobody", "1", Refusal.UNKNOWN_LEG),
        ("deaf", "1", Refusal.INVALID),
        ("ear", "1", Refusal.KEY_MISSING),
        ("bob", "1" * 65, Refusal.LIMIT),
        ("bob", "1x", Refusal.INVALID),
    ):
        with pytest.raises(PortError) as refused:
            room.apply(LegDial(leg=leg, digits=digits))
        assert refused.value.refusal == refusal
