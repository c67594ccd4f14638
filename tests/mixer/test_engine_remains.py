"""Nothing of a leg, a stream or a sender remains that could be taken for the next one, and no one breaks the tick."""

from __future__ import annotations

import numpy as np
import pytest

from mixer import port
from mixer.batch import STRIDE
from mixer.codecs import CodecError, g722, libopus
from mixer.keypads import MOST_A_TICK
from mixer.legs import Legs
from mixer.waiting import CELL, DEPTH, Waiting
from tests import codecs
from tests.mixer.net import Datagram
from tests.mixer.phone import tone
from tests.mixer.room import Room
from tests.mixer.test_engine_codecs import residue_db
from tests.mixer.test_engine_sound import hear

both = pytest.mark.parametrize("codec", ["PCMU", "opus"])


@both
def test_who_led_a_format_and_was_sent_nothing_may_leave(codec: str) -> None:
    """Its stream led those of the others: what they are sent is a copy of what was encoded for it."""
    room = Room()
    room.create("ssrc")
    room.prepare(cohort=1)
    room.activate(cohort=1)
    room.join("ghost", codec=codec, known=False)
    room.join("ann", tone(437.0, codecs.RATES[codec]), codec=codec, cohort=1)
    bob = room.join("bob", codec=codec, cohort=1)
    room.run(400)
    room.leave("ghost")
    room.run(600)
    assert abs(hear(bob, 437.0)) < 1
    room.check_tally()


@pytest.mark.parametrize("codec", ["opus", "G722"])
def test_nobody_hears_that_another_stream_leads(codec: str) -> None:
    room = Room()
    room.create("ssrc", rate=16000)
    room.prepare(cohort=1)
    room.activate(cohort=1)
    room.join("first", codec=codec)
    room.join("ann", tone(437.0, 16000, 20000.0), codec="L16", clock=16000, cohort=1)
    bob = room.join("bob", codec=codec, cohort=1)
    room.run(1000)
    bob.forget()
    room.run(300)
    before = residue_db(bob.sound(), 437.0, bob.rate).max()
    room.leave("first")
    bob.forget()
    room.run(300)
    assert residue_db(bob.sound(), 437.0, bob.rate).max() < max(before, -30) + 3


def test_a_new_ssrc_is_not_decoded_from_where_the_old_one_stood() -> None:
    """The steps of an ADPCM decoder that heard something loud make a blow of something quiet."""
    room = Room()
    room.create("unique", rate=16000)
    ann = room.join("ann", tone(437.0, 16000, 30000.0), codec="G722")
    bob = room.join("bob", codec="L16", clock=16000)
    room.run(600)
    ann.voice = None
    room.run(400)
    ann.ssrc, ann.mouth = ann.ssrc ^ 1, None
    ann.voice = tone(437.0, 16000, 100.0)
    bob.forget()
    room.run(400)
    assert 50 < np.abs(bob.audio()).max() < 300


def test_a_leg_does_not_linger_on_the_encoder_of_who_had_its_row() -> None:
    room = Room(max_legs=3)
    room.create("unique", rate=16000)
    room.join("ear", codec="PCMU")
    room.join("other", tone(900.0), codec="PCMU")
    room.join("loud", tone(437.0, 16000), codec="G722")
    room.run(600)
    room.leave("loud")
    room.run(400)
    pcm = room.join("pcm", tone(613.0), codec="PCMU")
    room.run(600)
    pcm.voice = None
    room.run(3000)
    before = room.engine.counters.encodes
    room.run(200)
    assert room.engine.counters.encodes - before == 20, "the common mix, and that without the one who talks"


@pytest.mark.parametrize(("kind", "payload"), [(0, bytes(160)), (13, b"\x40"), (101, b"\x01\x0a\x00\xa0"), (99, b"x")])
def test_clear_packets_that_come_twice_are_duplicates_whatever_is_in_them(kind: int, payload: bytes) -> None:
    room = Room()
    room.create("unique")
    ann = room.join("ann", tone(437.0), clear=True, dtmf=101, comfort_noise=13)
    room.run(100)
    ann.payload_type = kind
    packet = ann.rtp(payload)
    assert room.inject(packet, ann.address) == ("unknown_payload_type" if kind == 99 else "accepted")
    assert room.inject(packet, ann.address) == "duplicate"


def test_an_encoder_that_refuses_breaks_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    room = Room()
    room.create("unique", rate=16000)
    room.join("ann", tone(437.0, 16000), codec="G722")
    bob, eve = room.join("bob", codec="G722"), room.join("eve", codec="PCMU")
    room.run(400)

    def refuse(self: object, samples: object) -> bytes:
        raise CodecError("out of order")

    for encoder in (g722.CopyingEncoder, g722.PrimedEncoder):
        monkeypatch.setattr(encoder, "encode", refuse)
    bob.forget()
    room.run(400)
    assert abs(hear(eve, 437.0, 200)) < 1
    assert len(bob.heard) == 20, "time goes on"
    assert room.engine.counters.encode_failures > 0


@pytest.mark.parametrize("codec", ["opus", "G722"])
def test_packets_that_lie_over_each_other_cost_a_bounded_time(codec: str) -> None:
    """A member may send a hundred times what can be heard; that is not decoded."""
    room = Room()
    room.create("unique", rate=48000)
    ann = room.join("ann", codec=codec)
    mouth = codecs.mouth(codec, 20)
    frame = mouth.encode(np.random.default_rng(0).integers(-5000, 5000, codecs.RATES[codec] // 50).astype(np.int16))
    # Six frames in one payload (RFC 6716 section 3.2.5).
    payload = bytes([frame[0] | 3, 6]) + 6 * frame[1:] if codec == "opus" else 6 * frame
    room.run(100)
    timestamp, most = ann.timestamp, 0
    for tick in range(20):
        # Each lies where the next tick plays.
        at = timestamp + (20 * tick - (40 if tick else 0)) * ann.clock // 1000
        sealed = [ann.seal(ann.rtp(payload, at)) for _ in range(30)]
        room.arrive([Datagram(room.now_ns, k, octets, ann.address) for k, octets in enumerate(sealed)])
        before = room.engine.counters.decodes
        room.engine.tick()
        most = max(most, room.engine.counters.decodes - before)
    assert 1 <= most <= 8, "of the 30 that are due"


def test_who_asked_for_a_low_mode_takes_the_wish_along() -> None:
    """RFC 4867 section 4.3.1: the mode is what a receiver asks for, and this one receives no more."""
    room = Room()
    room.create("unique")
    room.join("ann", tone(437.0))
    # No phone of these tests decodes AMR: what counts is the size of what they are sent.
    bob, eve = room.join("bob", codec="AMR"), room.join("eve", codec="AMR")
    del room.phones["bob"], room.phones["eve"]

    def octets() -> int:
        room.run(200)
        return [len(sent.octets) for sent in room.sent if sent.address == eve.address][-1]

    before = octets()
    no_data, lowest = 15, 0
    asking = (lowest << 12 | no_data << 7 | 1 << 6).to_bytes(2)
    assert room.inject(bob.seal(bob.rtp(asking)), bob.address) == "accepted"
    assert octets() < before
    room.apply(port.LegRemove(leg="bob"))
    assert octets() == before


def test_nobody_floods_control_with_keys() -> None:
    room = Room()
    room.create("unique")
    ann = room.join("ann", dtmf=101)
    room.run(100)
    ann.payload_type = 101
    four = bytes.fromhex("01800001 02800001 03800001 04800001")
    for _ in range(3):
        packets = [ann.seal(ann.rtp(four, ann.timestamp + 10 * k)) for k in range(30)]
        ann.timestamp += 1000
        room.arrive([Datagram(room.now_ns, k, octets, ann.address) for k, octets in enumerate(packets)])
        told = [event for event in room.engine.events() if isinstance(event, port.Dtmf)]
        assert len(told) == MOST_A_TICK
        room.step()


def test_digits_go_with_the_leg_that_they_are_for() -> None:
    room = Room()
    room.create("unique")
    room.join("ann", tone(437.0), dtmf=101)
    room.join("mute", dtmf=101, direction="sendonly")
    for name in ("ann", "mute"):
        room.apply(port.LegDial(leg=name, digits="12"))
    room.run(40)
    for name in ("ann", "mute"):
        room.leave(name)
    assert not room.engine._dials._dialling


def test_who_is_muted_is_not_decoded_and_takes_nobodys_place() -> None:
    room = Room()
    room.create("unique", rate=16000, max_talkers=1)
    loud = [
        room.join(f"loud{k}", tone(900.0, 16000), codec="G722", level_in=1, phone={"level_in": 1}) for k in range(3)
    ]
    bob = room.join("bob", codec="L16", clock=16000)
    room.run(400)
    for phone in loud:
        room.apply(port.LegModify(leg=phone.name, mute=True))
    room.run(200)
    before = room.engine.counters.decodes
    room.run(400)
    assert room.engine.counters.decodes == before
    room.join("ann", tone(437.0, 16000), codec="G722", level_in=1, phone={"level_in": 1, "claim": 30})
    room.run(600)
    assert abs(hear(bob, 437.0)) < 1
    room.apply(port.LegModify(leg="loud0", mute=False))
    room.leave("ann")
    bob.forget()
    room.run(1000)
    assert abs(hear(bob, 900.0)) < 1, "and is, when it no longer is"


@pytest.mark.parametrize(("width", "delay"), [(120, 200), (240, 200), (960, 200)])
def test_the_shortest_packets_wait_for_the_longest_delay(width: int, delay: int) -> None:
    class Mouth:
        """2.5 ms is no length that FFmpeg's options name in whole ms."""

        def __init__(self) -> None:
            self._state = libopus.EncoderState(48000, 1, libopus.LOW_DELAY, width)

        def encode(self, samples: codecs.Samples) -> bytes:
            return self._state.encode(samples)

    room = Room()
    room.create("unique", rate=48000)
    phone = {"width": width, "mouth": Mouth()}
    room.join("ann", tone(437.0, 48000), codec="opus", delay_min_ms=delay, phone=phone)
    bob = room.join("bob", codec="L16", clock=48000)
    room.run(1000)
    assert abs(hear(bob, 437.0)) < 1


@pytest.mark.parametrize("codec", ["opus", "G722"])
@pytest.mark.parametrize("rate", [8000, 16000, 24000])
def test_nothing_is_heard_of_a_timestamp_that_wraps(codec: str, rate: int) -> None:
    """Neither at 2^31 nor at 2^32, though samples are counted at another rate than the clock's."""

    def heard(start: int) -> codecs.Samples:
        room = Room()
        room.create("unique", rate=rate)
        phone = {"timestamp": start & 0xFFFF_FFFF}
        room.join("ann", tone(437.0, codecs.RATES[codec]), codec=codec, phone=phone)
        bob = room.join("bob", codec="L16", clock=rate)
        room.run(600)
        assert room.engine.tally.drops() == {}
        return bob.audio()

    unit = codecs.CLOCKS[codec] // 50
    plain = heard(30 * unit)
    assert plain.any()
    assert np.array_equal(heard(-15 * unit), plain)
    assert np.array_equal(heard((1 << 31) // (3 * unit) * 3 * unit - 15 * unit), plain)


def test_long_payloads_are_let_go_with_their_leg() -> None:
    waiting = Waiting(2)
    octets = np.zeros((1, STRIDE), np.uint8)
    row, start = np.array([1]), np.array([0])
    for size in [CELL + 1] * DEPTH + [10] * (DEPTH // 2):
        waiting.store(row, octets, start, np.array([size]), start, np.array([960]))
    waiting.forget(1)
    assert not waiting._long


def test_every_fact_of_a_leg_begins_anew() -> None:
    """A row that is taken again has nothing of who had it: all columns are made by `_column`."""
    legs = Legs(2, 20)
    arrays = {name for name, value in vars(legs).items() if isinstance(value, np.ndarray)}
    known = {id(column) for column, _ in legs._starts}
    assert {name for name in arrays if id(getattr(legs, name)) not in known} == set()
