"""The demo's proofs, on speech: true when true, and loud when not."""

from __future__ import annotations

import io
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest

from bench import demo
from bench.codec import Samples, codec
from bench.phone import HearingKey, Keys, Phone, read_wav, tone, write_wav
from bench.screen import Screen, hears
from bench.srtp import PacketSession

SUITE = "AES_CM_128_HMAC_SHA1_80"
KEY = bytes(range(30))
LAG = 400
SECONDS = 22.0
LAW = codec("PCMU")


def phone(name: str, said: Samples | None = None) -> Phone:
    made = Phone(Keys(SUITE, [HearingKey(KEY)], KEY), LAW, np.zeros(0, np.float32) if said is None else said, 7, name)
    made.said_ns = [n * 20_000_000 for n in range(round(SECONDS * 50))]
    return made


def talkers() -> list[Phone]:
    """The four voices as the demo staggers them."""
    made = []
    for turn, path in enumerate(sorted((Path(demo.__file__).parent / "speech").glob("*.wav"))):
        pause = np.zeros(int((0.5 + turn * demo.STAGGER_S) * demo.RATE), np.float32)
        made.append(phone(path.stem, np.concatenate([pause, read_wav(path)[0]])))
    assert len(made) == 4
    return made


def hear(to: Phone, mix: Samples, *, ssrc: int = 9) -> None:
    """Send a mix to a phone, encrypted, as the mixer would."""
    session = PacketSession(SUITE, KEY, ssrc=ssrc)
    for number, block in enumerate(mix[: len(mix) // 160 * 160].reshape(-1, 160)):
        header = b"\x80\0" + number.to_bytes(2, "big") + bytes(4) + ssrc.to_bytes(4, "big")
        to.datagram_received(session.protect(header + LAW.encode(block).tobytes()), ("127.0.0.1", 1))
    to.heard_ns = [n * 20_000_000 + 1_000_000 for n in range(len(to.heard_ns))]


def mix_of(phones: list[Phone], gains: dict[str, float] | None = None) -> Samples:
    total = np.zeros(round(SECONDS * 8000), np.float32)
    for one in phones:
        said = LAW.decode(LAW.encode(one.said)) * np.float32((gains or {}).get(one.name, 1.0))
        total[LAG : LAG + len(said)] += said
    return total


def test_a_true_mix_is_found_true() -> None:
    everybody = talkers()
    for me in everybody:
        hear(me, mix_of([one for one in everybody if one is not me]))
        row = demo.judge(me, everybody)
        assert demo.untrue(row) == []
        assert set(row.others_db) == {one.name for one in everybody} - {me.name}
        assert row.latency_ms == pytest.approx(51, abs=11), "2.5 packets and a millisecond"


def test_hearing_oneself_is_untrue_even_quietly() -> None:
    everybody = talkers()
    for me in everybody:
        hear(me, mix_of(everybody, {me.name: 10 ** (-34 / 20)}))
        assert any("hears itself" in wrong for wrong in demo.untrue(demo.judge(me, everybody)))


def test_a_missing_voice_is_untrue() -> None:
    everybody = talkers()
    for me in everybody:
        missing = next(one for one in everybody if one is not me)
        hear(me, mix_of([one for one in everybody if one not in (me, missing)]))
        assert f"does not hear {missing.name}" in " ".join(demo.untrue(demo.judge(me, everybody)))


def test_silence_is_untrue() -> None:
    everybody = talkers()
    hear(everybody[0], np.zeros(round(SECONDS * 8000), np.float32))
    assert len(demo.untrue(demo.judge(everybody[0], everybody))) == 4  # three voices, and no latency


def test_one_encryption_for_all_listeners_is_proved_by_octets() -> None:
    listeners = [phone(f"listener-{n}") for n in range(3)]
    for one in listeners:
        hear(one, tone(440, 1.0))
    assert demo.encryptions(listeners) == (1.0, [])
    other = phone("other")
    hear(other, tone(440, 1.0, level=0.1))
    assert demo.encryptions([*listeners, other])[1]
    assert demo.encryptions([*listeners, phone("deaf")])[1]


async def test_two_phones_call_each_other() -> None:
    """Over real sockets, under two keys with MKIs."""
    key = {name: bytes([n]) + KEY[1:] for n, name in enumerate(("a", "b"), 1)}
    sound = tone(1000, 0.4)
    async with (
        await Phone.open(
            Keys(SUITE, [HearingKey(key["b"], b"\x02"), HearingKey(KEY, b"\x07")], key["a"], b"\x01"),
            said=sound,
        ) as a,
        await Phone.open(Keys(SUITE, [HearingKey(KEY, b"\x01")], key["b"], b"\x02")) as b,
    ):
        await a.call(int(b.address.rpartition(":")[2]), 0.1)
        assert (b.refused, b.heard().size) == (5, 0), "b has another key"
        await b.call(int(a.address.rpartition(":")[2]), 0.4)
        assert a.refused == 0
        assert a.heard().size >= 8 * 160
        assert a.ssrcs == [b.ssrc]


def test_wav_files_keep_samples(tmp_path: Path) -> None:
    write_wav(tmp_path / "x.wav", sound := tone(300, 0.1), 16000)
    samples, rate = read_wav(tmp_path / "x.wav")
    assert rate == 16000
    assert np.allclose(samples, sound, atol=1e-4)


@dataclass
class Room:
    name: str = "room"
    talkers: list[Phone] = field(default_factory=list)
    listeners: list[Phone] = field(default_factory=list)


async def test_the_screen_shows_who_hears_whom() -> None:
    everybody = talkers()
    hear(everybody[1], mix_of(everybody[:1])[: 8000 * 3])
    everybody[0].said_ns = everybody[0].said_ns[: 50 * 3]
    assert hears(everybody[1], everybody[0])
    assert not hears(everybody[1], everybody[2])
    assert not hears(everybody[0], everybody[1])

    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    terminal = Terminal()
    Screen([Room(talkers=everybody, listeners=[everybody[1]])], terminal).finish()
    assert "hears anna" in terminal.getvalue()
