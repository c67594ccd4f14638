"""Legs that go on saying that they are silent are not decrypted; and nothing else changes for anybody."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from mixer.hush import OPEN_EVERY
from mixer.port import KeySwitched, LegRemove, LegTimeout
from tests import naive
from tests.mixer.net import Datagram, Net
from tests.mixer.phone import Phone, tone
from tests.mixer.room import DEFAULT, MODES, Room
from tests.mixer.test_engine_legkeys import prepare_rx, switch
from tests.mixer.test_engine_sound import hear
from tests.reference.srtp import Context

LOUD, SILENT = 20, 127
HERTZ = 437.0
RATES = {"PCMU": 8000, "L16": 48000, "G722": 16000, "opus": 48000}

each_codec = pytest.mark.parametrize("codec", RATES)


def meeting(codec: str = "PCMU", *, net: Net | None = None, mode: str = "unique", **fields: Any) -> tuple[Room, Phone]:
    """Ann says that she is silent, and is, and Ear listens."""
    room = Room(net=net)
    rate = RATES[codec]
    room.create(mode, rate=rate)
    phone = {"level_in": 1, "claim": SILENT}
    clock = rate if codec == "L16" else None
    ann = room.join("ann", tone(HERTZ, rate, 0), codec=codec, clock=clock, level_in=1, phone=phone, **fields)
    room.join("ear", codec="L16", clock=rate)
    return room, ann


def say(phone: Phone, claim: int, rate: int, amplitude: float = 8000.0) -> None:
    phone.claim = claim
    phone.voice = tone(HERTZ, rate, amplitude)


def assert_heard_when_it_speaks(room: Room, ann: Phone, rate: int) -> None:
    say(ann, LOUD, rate)
    room.run(300)
    assert hear(room.phones["ear"], HERTZ, 200) > -3


@each_codec
@pytest.mark.parametrize("mode", MODES)
def test_one_packet_in_many_is_opened(codec: str, mode: str) -> None:
    room, ann = meeting(codec, mode=mode)
    first = ann.seq
    room.run(3000)
    said = range(first + 1, ann.seq)  # the first one is never passed over: until then Ann has said nothing
    assert room.engine.tally.passed == sum(seq % OPEN_EVERY != 0 for seq in said)
    assert room.engine.tally.drops() == {}
    room.check_tally()


@each_codec
@pytest.mark.parametrize("after", range(OPEN_EVERY))
def test_the_first_syllable_is_whole(codec: str, after: int) -> None:
    """As it is of a leg whose packets are all opened, whichever packet is the first."""
    rate, heard = RATES[codec], {}
    for level_in in (1, None):
        room, ann = meeting(codec)
        if level_in is None:
            ann.level_in = 0
        room.run(1000 + 20 * after)
        assert bool(room.engine.tally.passed) == bool(level_in)
        say(ann, LOUD, rate)
        ear = room.phones["ear"]
        ear.forget()
        room.run(300)
        heard[level_in] = ear.sound()
    loud = {kind: int(np.argmax(np.abs(sound) > 0.05)) for kind, sound in heard.items()}
    assert abs(loud[1] - loud[None]) < rate // 250
    first = {kind: np.sqrt(np.mean(heard[kind][begin : begin + rate // 50] ** 2)) for kind, begin in loud.items()}
    assert abs(20 * np.log10(first[1] / first[None])) < 1


def test_who_falls_silent_and_speaks_again_is_heard_each_time() -> None:
    room, ann = meeting("opus")
    for _ in range(4):
        say(ann, LOUD, 48000)
        room.run(300)
        assert hear(room.phones["ear"], HERTZ, 200) > -3
        say(ann, SILENT, 48000, 0)
        room.run(700)
        assert hear(room.phones["ear"], HERTZ, 200) < -60
    assert room.engine.tally.passed > 80


# -- what is counted --------------------------------------------------------------------------


def test_nothing_is_lost_where_nothing_was_lost() -> None:
    room, ann = meeting()
    room.run(6000)
    status = room.status("ann")
    assert ann.spoken - status.received <= OPEN_EVERY
    assert status.lost == 0


@pytest.mark.parametrize("loss", [0.1, 0.3])
def test_loss_among_what_is_not_opened_is_counted(loss: float) -> None:
    net = Net(3, loss=loss)
    room, _ = meeting(net=net)
    room.run(20_000)
    status = room.status("ann")
    assert net.lost - 2 * OPEN_EVERY <= status.lost <= net.lost
    assert status.received + status.lost >= 1000 - 2 * OPEN_EVERY


def test_what_comes_twice_hides_no_loss() -> None:
    net = Net(3, loss=0.2)
    room, ann = meeting(net=net)
    for _ in range(1000):
        net.duplicates = float(ann.seq % OPEN_EVERY != 0)  # of what is opened RFC 3550 counts each
        room.step()
    assert net.lost - 2 * OPEN_EVERY <= room.status("ann").lost <= net.lost


@pytest.mark.parametrize("first", range(2))
def test_packets_that_come_together_are_all_counted(first: int) -> None:
    room, ann = meeting(ptime=5)
    ann.seq += first
    room.run(6000)
    assert room.engine.tally.passed > 500
    assert room.status("ann").lost == 0


def test_what_is_overtaken_is_counted() -> None:
    net = Net(3)
    room, ann = meeting(net=net)
    room.run(100)
    net.jitter_ms = 70
    room.run(10_000)
    ann.voice = None
    room.run(100)
    ann.voice = tone(HERTZ, 8000, 0)
    ann.seq += -ann.seq % OPEN_EVERY
    skipped = ann.seq - 1000 - ann.spoken
    room.run(100)
    assert room.engine.tally.passed > 250
    assert room.status("ann").lost == skipped


def test_who_is_silent_in_long_packets_does_not_time_out() -> None:
    room, ann = meeting(ptime=60, timeout_s=0.5)
    room.run(5000)
    assert room.named(LegTimeout) == []
    ann.voice = None
    room.run(2000)
    assert [event.leg for event in room.named(LegTimeout)] == ["ann"]


# -- what forgers get -------------------------------------------------------------------------


def forged(ann: Phone, claim: int = SILENT, **fields: Any) -> bytes:
    """The next packet of Ann by somebody who sees her packets and has no key."""
    extension = bytes([1 << 4, claim])
    rtp = {"payload_type": ann.payload_type, "seq": ann.seq, "timestamp": ann.timestamp, "ssrc": ann.ssrc} | fields
    return naive.Rtp(payload=bytes(170), profile=0xBEDE, extension=extension, **rtp).pack()


def test_forged_silence_keeps_no_leg_alive() -> None:
    room, ann = meeting(timeout_s=2.0)
    room.run(1000)
    ann.voice = None
    for _ in range(200):
        ann.seq += 1
        room.inject(forged(ann), ann.address)
        room.run(20)
    assert [event.leg for event in room.named(LegTimeout)] == ["ann"]
    assert room.status("ann").auth_failures > 0
    assert room.status("ann").received <= 50


def test_forged_silence_while_somebody_speaks_is_refused() -> None:
    room, ann = meeting()
    say(ann, LOUD, 8000)
    room.run(500)
    assert room.inject(forged(ann), ann.address) == "auth_failed"
    assert hear(room.phones["ear"], HERTZ, 200) > -3


def test_forged_speech_of_who_is_silent_is_refused() -> None:
    room, ann = meeting("opus")
    room.run(1000)
    assert room.inject(forged(ann, LOUD), ann.address) == "auth_failed"
    assert_heard_when_it_speaks(room, ann, 48000)


def test_forged_silence_does_not_spoil_what_is_said_behind_it() -> None:
    room, ann = meeting("G722")
    room.run(1000)
    for ahead in range(OPEN_EVERY):
        room.inject(forged(ann, seq=ann.seq + ahead), ann.address)
    assert_heard_when_it_speaks(room, ann, 16000)


def test_of_two_packets_of_one_number_the_second_is_opened() -> None:
    """Else a forger could put one in the place of each that is kept."""
    room, ann = meeting("G722")
    room.run(1000)
    for _ in range(2 * OPEN_EVERY):
        room.step()
        assert room.inject(forged(ann, seq=ann.seq - 1), ann.address) in ("auth_failed", "replayed")
    assert room.inject(forged(ann), ann.address) == "passed" or ann.seq % OPEN_EVERY == 0
    room.step()
    assert room.engine.tally.drops().get("auth_failed", 0) > OPEN_EVERY


def test_of_two_packets_of_one_number_in_one_batch_the_second_is_opened() -> None:
    room, ann = meeting("G722")
    room.run(1000)
    ann.seq += ann.seq % OPEN_EVERY == 0
    before = room.engine.tally.passed
    forgeries = [Datagram(room.now_ns, n, forged(ann), ann.address) for n in range(5)]
    room.arrive(forgeries)
    room.step()
    assert room.engine.tally.drops() == {"auth_failed": 4}
    assert room.engine.tally.passed == before + 1
    assert room.status("ann").received + OPEN_EVERY > ann.spoken


@pytest.mark.parametrize("ahead", range(2))
def test_forged_silence_does_not_spoil_the_first_syllable(ahead: int) -> None:
    heard: list[NDArray[np.float64]] = []
    for forges in (False, True):
        room, ann = meeting("G722")
        room.run(700)
        for _ in range(15):
            room.step()
            if forges:
                room.inject(forged(ann, seq=ann.seq - 1 + ahead), ann.address)
        say(ann, LOUD, 16000)
        ear = room.phones["ear"]
        ear.forget()
        room.run(300)
        heard.append(ear.sound())
    assert np.abs(heard[0]).max() > 0.1
    np.testing.assert_allclose(heard[0], heard[1], atol=1e-3)


def test_who_has_the_wrong_key_is_never_passed_over() -> None:
    room, ann = meeting()
    ann.uplink = Context(DEFAULT, bytes(30))
    room.run(1000)
    assert room.engine.tally.passed == room.engine.tally.accepted == 0


def test_what_nobody_agreed_on_is_not_passed_over() -> None:
    room, ann = meeting()
    room.run(400)
    ann.seq += 1 + (ann.seq + 1) % OPEN_EVERY == 0
    for fields in ({"payload_type": 99}, {"ssrc": 77}):
        assert room.inject(forged(ann, **fields), ann.address) in ("auth_failed", "unknown_source")


# -- what else changes meanwhile --------------------------------------------------------------


def test_a_key_is_changed_in_silence() -> None:
    room, ann = meeting()
    room.run(600)
    switch(ann, prepare_rx(room))
    room.run(100)
    assert [event.epoch for event in room.named(KeySwitched)] == [2]
    assert room.engine.tally.passed < 30
    room.run(2500)
    assert room.engine.tally.drops() == {}
    assert room.engine.tally.passed > 80
    assert_heard_when_it_speaks(room, ann, 8000)


def test_what_was_kept_is_opened_under_the_key_it_came_under() -> None:
    room, ann = meeting("opus")
    room.run(600)
    switch(ann, prepare_rx(room))
    room.run(20)
    ann.voice = None
    room.run(1500)
    assert [event.epoch for event in room.named(KeySwitched)] == [2]
    say(ann, LOUD, 48000)
    room.run(300)
    assert room.status("ann").auth_failures == 0
    assert hear(room.phones["ear"], HERTZ, 200) > -3


def test_the_sequence_number_wraps_in_silence() -> None:
    room, ann = meeting()
    room.run(100)
    ann.seq = 65_000
    room.run(200)
    ann.seq = 65_536 - 100
    room.run(4000)
    assert room.status("ann").auth_failures == 0
    assert_heard_when_it_speaks(room, ann, 8000)


def test_a_new_ssrc_must_prove_itself() -> None:
    room, ann = meeting()
    room.run(600)
    ann.ssrc += 1
    before = room.engine.tally.passed
    room.run(20)
    assert room.engine.tally.passed == before
    assert room.status("ann").ssrc == ann.ssrc
    room.run(600)
    assert room.engine.tally.passed > before


def test_nothing_is_left_to_the_next_leg() -> None:
    """What is kept of a leg in clear would warm up the decoder of whoever has its place."""
    room, _ = meeting("opus", clear=True)
    room.run(1000)
    kept = room.engine.tally.passed
    room.apply(LegRemove(leg="ann"))
    del room.phones["ann"]
    phone = {"level_in": 1, "claim": LOUD}
    bob = room.join("bob", tone(HERTZ, 48000), codec="opus", level_in=1, clear=True, phone=phone)
    decodes = room.engine.counters.decodes
    room.run(200)
    assert kept > 0
    assert room.engine.counters.decodes - decodes <= 10
    assert room.engine.tally.passed == kept
    assert bob.spoken == 10


def test_long_packets_of_codecs_with_memory_are_opened() -> None:
    room, _ = meeting("G722", ptime=60)
    room.run(2000)
    assert room.engine.tally.passed == 0
