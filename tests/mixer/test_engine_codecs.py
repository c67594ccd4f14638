"""Codecs with memory through the whole line, by ear: FFmpeg speaks and listens at the other ends."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from mixer.crew import Crew
from mixer.port import Opus, PortError, Refusal
from tests import codecs
from tests.mixer.net import Net
from tests.mixer.phone import Numbers, Phone, Voice, tone
from tests.mixer.room import MODES, Room
from tests.mixer.test_engine_sound import SPOKEN_DB, hear
from tests.tones import level_db

modes = pytest.mark.parametrize("mode", MODES)

FINE = Opus(bitrate=64000)
"""So that the codec is no louder than what is looked for."""
EVERY: dict[str, tuple[float, dict[str, Any]]] = {
    "mu": (437.0, {"codec": "PCMU"}),
    "a": (613.0, {"codec": "PCMA"}),
    "wide": (821.0, {"codec": "L16", "clock": 16000}),
    "full": (1013.0, {"codec": "L16", "clock": 48000}),
    "g722": (1259.0, {"codec": "G722"}),
    "opus": (1523.0, {"codec": "opus", "opus": FINE}),
}


def residue_db(sound: NDArray[np.float64], hertz: float, rate: int, window_ms: int = 20) -> NDArray[np.float64]:
    """What of each window is not the tone, against the tone, dB: a click or a gap shows in its window."""
    width = rate * window_ms // 1000
    found = []
    for start in range(width, len(sound) - 2 * width, width):
        at = np.arange(start - width, start + 2 * width)
        base = np.stack([np.cos(2 * np.pi * hertz * at / rate), np.sin(2 * np.pi * hertz * at / rate)], axis=1)
        fit = base @ np.linalg.lstsq(base, sound[at], rcond=None)[0]
        rest = (sound[at] - fit)[width : 2 * width]
        found.append(10 * np.log10((rest**2).mean() / (fit**2).mean() + 1e-20))
    return np.array(found)


@modes
def test_all_pairs_of_codecs_at_once(mode: str) -> None:
    room = Room()
    room.create(mode, rate=48000)
    for name, (hertz, fields) in EVERY.items():
        rate = {"PCMU": 8000, "PCMA": 8000, "G722": 16000, "opus": 48000}.get(fields["codec"]) or fields["clock"]
        room.join(name, tone(hertz, rate), **fields)
    room.run(1500)
    for phone in room.phones.values():
        for name, (hertz, _) in EVERY.items():
            level = hear(phone, hertz, 600)
            if name == phone.name:
                assert level < -40, f"{name} hears itself: {level:.1f} dB"
            else:
                assert abs(level) < 1, f"{phone.name} hears {name} at {level:.1f} dB"
        assert not phone.refused
    room.check_tally()
    assert room.engine.tally.drops() == {}


@modes
@pytest.mark.parametrize("codec", ["opus", "G722"])
def test_one_encode_a_tick_however_many_listen(mode: str, codec: str) -> None:
    room = Room()
    room.create(mode, rate=16000)
    room.join("ann", tone(437.0, 48000 if codec == "opus" else 16000), codec=codec)
    for k in range(8):
        room.join(f"ear{k}", codec=codec, direction="recvonly", rx=None)
    room.run(400)
    before = room.engine.counters.common_encodes, room.engine.counters.encodes, room.engine.counters.decodes
    room.run(200)
    now = room.engine.counters.common_encodes, room.engine.counters.encodes, room.engine.counters.decodes
    assert [b - a for a, b in zip(before, now, strict=True)] == [
        10,
        10,
        10,
    ]  # ann hears silence: hers rests


@modes
@pytest.mark.parametrize("codec", ["opus", "G722", "PCMU"])
def test_nobody_hears_who_begins_or_stops_to_talk(mode: str, codec: str) -> None:
    """Bob listens to a steady tone while he is handed from the common encoder to his own, and back."""
    room = Room()
    rate = {"opus": 48000, "G722": 16000, "PCMU": 8000}[codec]
    opus = FINE if codec == "opus" else None
    room.create(mode, rate=rate)
    room.join("ann", tone(437.0, rate), codec=codec, opus=opus)
    bob = room.join("bob", codec=codec, opus=opus)
    room.run(1000)
    bob.forget()
    room.run(500)
    steady = residue_db(bob.sound(), 437.0, rate).max()
    for voice in (tone(1013.0, rate), None):
        bob.voice = voice
        bob.forget()
        room.run(1000)
        residue = residue_db(bob.sound(), 437.0, rate)
        if mode != "ssrc":  # there his own mix is another stream, and another decoder
            assert residue.max() < steady + 6, residue.round(0)
        assert abs(hear(bob, 437.0, 500)) < 0.5
        assert hear(bob, 1013.0, 500) < -40


def burst(hertz: float, rate: int, begin: float) -> Voice:
    """Silence, and from `begin` seconds on a tone."""

    def voice(at: Numbers) -> NDArray[np.int16]:
        sound = 3000.0 * np.sin(2 * np.pi * hertz * at / rate) * (at >= begin * rate)
        return np.rint(sound).astype(np.int16)

    return voice


def onset(sound: NDArray[np.float64], rate: int) -> int:
    """The first sample that is loud."""
    return int(np.argmax(np.abs(sound) > 0.02))


@pytest.mark.parametrize("codec", ["opus", "G722"])
def test_the_first_syllable_of_a_quiet_leg_is_whole(codec: str) -> None:
    """One says that it is silent, and nothing of it is decoded until it speaks; the other says nothing of the kind, and
    in G.722 is decoded all along."""
    rate = {"opus": 48000, "G722": 16000}[codec]
    heard = {}
    for kind, level_in in {"quiet": 1, "decoded": None}.items():
        room = Room()
        room.create("unique", rate=rate)
        phone = {"level_in": level_in or 0, "claim": 127}
        ann = room.join("ann", burst(437.0, rate, 1.5), codec=codec, level_in=level_in, phone=phone)
        ear = room.join("ear", codec="L16", clock=rate, direction="recvonly", rx=None)
        room.run(1500)
        if kind == "quiet":
            assert room.engine.counters.decodes == 0
        ann.claim = 20
        room.run(500)
        heard[kind] = ear.sound()
    assert abs(onset(heard["quiet"], rate) - onset(heard["decoded"], rate)) < rate // 500
    begin = onset(heard["decoded"], rate)
    first = {kind: np.sqrt(np.mean(sound[begin : begin + rate // 50] ** 2)) for kind, sound in heard.items()}
    assert abs(20 * np.log10(first["quiet"] / first["decoded"])) < 1, "its beginning was chopped"


def test_only_who_can_be_mixed_is_decoded() -> None:
    room = Room(max_legs=64)
    room.create("unique", rate=16000, max_talkers=2)
    for k in range(20):
        claim = 20 + k
        voice = tone(300.0 + 50 * k, 16000, 3000.0 * 10 ** (-k / 20))
        room.join(f"leg{k}", voice, codec="G722", level_in=1, phone={"level_in": 1, "claim": claim})
    room.run(600)
    before = room.engine.counters.decodes
    room.run(200)
    assert room.engine.counters.decodes - before == 10 * 4, "twice as many as are mixed"
    assert room.show().talkers == ["leg0", "leg1"]


def test_who_claims_to_be_loudest_is_decoded_but_not_believed() -> None:
    room = Room(max_legs=64)
    room.create("unique", rate=16000, max_talkers=1)
    room.join("ann", tone(437.0, 16000), codec="G722", level_in=1, phone={"level_in": 1, "claim": 25})
    room.join("liar", tone(1013.0, 16000, 300.0), codec="G722", level_in=1, phone={"level_in": 1, "claim": 0})
    room.run(600)
    assert room.show().talkers == ["ann"]


# -- loss, and what is not what it should be


def lossy(every: int) -> Net:
    """Loses every so many-th packet, and nothing else."""

    class Lossy(Net):
        count = 0

        def send(self, now_ns: int, octets: bytes, source: str, local: int = 0) -> None:
            self.count += 1
            if self.count % every:
                super().send(now_ns, octets, source, local)

    return Lossy(0)


@pytest.mark.parametrize("codec", ["opus", "G722", "PCMU"])
def test_a_tone_goes_on_while_every_tenth_packet_is_lost(codec: str) -> None:
    rate = {"opus": 48000, "G722": 16000, "PCMU": 8000}[codec]
    room = Room(net=lossy(10))
    room.create("unique", rate=rate)
    room.join("ann", tone(437.0, rate), codec=codec)
    ear = room.join("ear", codec="L16", clock=rate, direction="recvonly", rx=None)
    room.run(3000)
    sound = ear.sound(2000)
    width = rate // 50
    levels = [level_db(sound[k : k + width * 2], 437.0, rate=rate) for k in range(0, len(sound) - 2 * width, width)]
    assert min(levels) > SPOKEN_DB - 3, np.round(levels, 1)
    ann = room.status("ann")
    assert ann.lost > 10
    assert ann.concealed_ms >= 20 * (ann.lost - 1)


def test_rubbish_is_counted_and_the_conference_sounds_on() -> None:
    room = Room()
    room.create("unique", rate=48000)
    ann = room.join("ann", tone(437.0, 48000), codec="opus", opus=FINE)
    bad = room.join("bad", codec="opus")
    ear = room.join("ear", codec="L16", clock=48000, direction="recvonly", rx=None)
    generator = np.random.default_rng(5)
    for _ in range(100):
        payload = bytes([0x78 | int(generator.integers(0, 4)), *generator.integers(0, 256, 60).tolist()])
        room.inject(bad.seal(bad.rtp(payload)), bad.address)
        bad.timestamp += 960
        room.step()
    bad.timestamp += 48000
    ear.forget()
    room.run(600)
    assert abs(hear(ear, 437.0, 300)) < 1
    assert not ann.refused
    room.check_tally()


@pytest.mark.parametrize(
    "payload", [b"", bytes(1300), b"\x7f", b"\xff\x7f" + bytes(40)], ids=["none", "huge", "odd", "many"]
)
def test_what_cannot_be_opus_is_dropped(payload: bytes) -> None:
    room = Room()
    room.create("unique", rate=48000)
    ann = room.join("ann", codec="opus")
    room.run(40)
    fate = room.inject(ann.seal(ann.rtp(payload)), ann.address)
    assert fate == "bad_payload"
    room.step()
    room.check_tally()


def test_a_payload_type_that_was_never_agreed_is_dropped() -> None:
    room = Room()
    room.create("unique", rate=48000)
    ann = room.join("ann", codec="opus", phone={"payload_type": 96})
    assert room.inject(ann.seal(ann.rtp(b"\x78" + bytes(20))), ann.address) == "unknown_payload_type"


# -- packets of any length


@pytest.mark.parametrize("ptime", [10, 20, 30, 40, 60])
@pytest.mark.parametrize("codec", ["opus", "G722"])
def test_packets_of_any_length(codec: str, ptime: int) -> None:
    rate = {"opus": 48000, "G722": 16000}[codec]
    room = Room()
    room.create("ssrc", rate=rate)
    opus = FINE if codec == "opus" else None
    room.join(
        "ann", tone(437.0, rate), codec=codec, ptime=ptime, opus=opus, phone={"ptime": 20 if ptime == 30 else ptime}
    )
    ear = room.join("ear", codec=codec, ptime=ptime, opus=opus, direction="recvonly", rx=None)
    room.run(1500)
    assert abs(hear(ear, 437.0)) < 1
    assert residue_db(ear.sound(500), 437.0, rate).max() < -25


@pytest.mark.parametrize(("codec", "ms"), [("PCMU", 1), ("PCMU", 120), ("G722", 1), ("G722", 120), ("opus", 120)])
def test_the_shortest_and_the_longest_packets(codec: str, ms: int) -> None:
    rate = {"opus": 48000, "G722": 16000, "PCMU": 8000}[codec]
    room = Room()
    room.create("unique", rate=rate)
    opus = FINE if codec == "opus" else None
    room.join("ann", tone(437.0, rate), codec=codec, opus=opus, phone={"width": rate * ms // 1000})
    ear = room.join("ear", codec="L16", clock=rate, direction="recvonly", rx=None)
    room.run(2000)
    assert abs(hear(ear, 437.0, 1000)) < 1
    assert residue_db(ear.sound(1000), 437.0, rate).max() < -20
    room.check_tally()


@pytest.mark.parametrize("codec", ["PCMU", "G722", "opus"])
def test_a_packet_that_is_too_long_is_dropped_and_the_others_sound_on(codec: str) -> None:
    rate = {"opus": 48000, "G722": 16000, "PCMU": 8000}[codec]
    payload = b"\xff\x19" + bytes(200) if codec == "opus" else bytes(1200)  # 25 frames of 20 ms; 150 ms
    room = Room()
    room.create("unique", rate=rate)
    room.join("ann", tone(437.0, rate), codec="L16", clock=rate)
    bad = room.join("bad", codec=codec)
    ear = room.join("ear", codec="L16", clock=rate, direction="recvonly", rx=None)
    room.run(600)
    ear.forget()
    for _ in range(20):
        assert room.inject(bad.seal(bad.rtp(payload)), bad.address) == "bad_payload"
        room.step()
    assert abs(hear(ear, 437.0, 300)) < 1


def test_a_codec_that_is_not_installed_is_refused() -> None:
    room = Room()
    room.create("unique")
    with pytest.raises(PortError) as refused:
        room.join("ann", codec="AMR", ptime=30)
    assert refused.value.refusal in (Refusal.INVALID, Refusal.UNAVAILABLE)
    assert room.show().legs == []


def test_threads_make_the_same_packets() -> None:
    """Encoders and decoders spread over threads give what they give one after another."""
    packets = []
    for threads in (1, 3):
        room = Room(spread=Crew(threads))
        room.create("unique", rate=48000)
        for k in range(6):
            room.join(f"leg{k}", tone(400.0 + 50 * k, 48000), codec="opus", clear=True, phone={"ssrc": 100 + k})
        room.run(400)
        packets.append([sound.packet.payload for phone in room.phones.values() for sound in phone.heard])
    assert packets[0] == packets[1]
    assert len(packets[0]) > 100


@pytest.mark.parametrize("noise", [None, 13])
@pytest.mark.parametrize("mode", ["unique", "mki"])
def test_a_g722_listener_is_handed_back_in_a_pause(mode: str, noise: int | None) -> None:
    """Its encoders do not agree while there is sound: until there is none, who talked once is encoded for by itself."""
    room = Room()
    room.create(mode, rate=16000)
    ann = room.join("ann", tone(437.0, 16000), codec="G722", comfort_noise=noise)
    bob = room.join("bob", tone(1013.0, 16000), codec="G722", comfort_noise=noise)
    ear = room.join("ear", codec="G722", direction="recvonly", rx=None, comfort_noise=noise)
    room.run(600)
    bob.voice = None
    room.run(2000)
    assert same_packet(bob, ear) == [False] * 10
    ann.voice = None
    room.run(3000)
    assert same_packet(bob, ear) == [True] * 10
    ann.voice = tone(437.0, 16000)
    bob.forget()
    room.run(1000)
    assert residue_db(bob.sound(500), 437.0, 16000).max() < -25


def same_packet(one: Phone, other: Phone) -> list[bool]:
    """Whether the last packets that two phones heard have the same payload."""
    pairs = zip(one.heard[-10:], other.heard[-10:], strict=True)
    return [a.packet.payload == b.packet.payload for a, b in pairs]


# -- stereo, liars and lingerers


def test_stereo_is_heard_where_the_talkers_are() -> None:
    room = Room()
    room.create("unique", rate=48000)
    room.join("left", tone(437.0, 48000), codec="L16", clock=48000, position=-1.0)
    room.join("right", tone(1013.0, 48000), codec="L16", clock=48000, position=1.0)
    wide = Opus(bitrate=128000, stereo=True)
    both = room.join("both", codec="opus", opus=wide, direction="recvonly", rx=None)
    mono = room.join("mono", codec="opus", opus=FINE, direction="recvonly", rx=None)
    both.ears = TwoEars()
    room.run(1200)
    left, right = np.split(both.sound(1200).reshape(-1, 2).T, 2)
    for side, near, far in ((left[0], 437.0, 1013.0), (right[0], 1013.0, 437.0)):
        near_db, far_db = (level_db(side[-24000:], hertz, rate=48000) - SPOKEN_DB for hertz in (near, far))
        assert abs(near_db - 6.02) < 1
        assert far_db < -20
    assert abs(hear(mono, 437.0, 500)) < 1
    assert abs(hear(mono, 1013.0, 500)) < 1


class TwoEars(dict[int, Any]):
    """Decoders of two channels, whatever the SSRC."""

    def __missing__(self, ssrc: int) -> Any:
        self[ssrc] = codecs.AvEar("opus", channels=2)
        return self[ssrc]

    def __contains__(self, ssrc: object) -> bool:
        return True


def test_liars_do_not_keep_out_who_speaks() -> None:
    """Twenty claim to be as loud as can be and say nothing: they are listened to for a while, and then doubted."""
    room = Room(max_legs=64)
    room.create("unique", rate=16000, max_talkers=2)
    room.join("ann", tone(437.0, 16000), codec="G722", level_in=1, phone={"level_in": 1, "claim": 20})
    for k in range(20):
        room.join(f"liar{k}", tone(500.0, 16000, 0.0), codec="G722", level_in=1, phone={"level_in": 1, "claim": 0})
    room.run(4000)
    assert room.show().talkers == ["ann"]


def test_nobody_lingers_for_ever() -> None:
    room = Room()
    room.create("unique", rate=16000)
    room.join("hum", tone(437.0, 16000), codec="G722")
    bob = room.join("bob", tone(1013.0, 16000), codec="G722")
    ear = room.join("ear", codec="G722", direction="recvonly", rx=None)
    room.run(600)
    bob.voice = None
    room.run(15000)
    assert same_packet(bob, ear) == [False] * 10
    room.run(7000)
    assert same_packet(bob, ear) == [True] * 10
