"""The generator's codecs: packets of the field, made by one library and heard by another."""

from __future__ import annotations

import numpy as np
import pytest

from bench import amr, amr_encoders, content, quiet, uplink
from bench.codec import CodecError
from bench.coders import coder
from bench.lossy import resample
from bench.plan import LEVEL_ID, Plan, PlanError
from bench.srtp import PacketSession

NAMES = ["PCMU", "PCMA", "opus", "G722", "AMR", pytest.param("AMR-WB", marks=pytest.mark.needs("libvo-amrwbenc"))]


def octets(packets: list[bytes]) -> list[np.ndarray[tuple[int], np.dtype[np.uint8]]]:
    return [np.frombuffer(packet, np.uint8) for packet in packets]


@pytest.mark.parametrize("name", NAMES)
def test_a_talker_is_found_again_in_every_packet(name: str) -> None:
    law = coder(name)
    said = uplink.noise(2 * law.rate, law.rate, 1)
    packets = law.packets(said)
    heard = law.sound(octets(packets))
    assert len(packets) == 100
    assert max(map(len, packets)) <= law.largest
    assert len(heard) == len(said)
    window = law.rate // 5
    found = content.find(heard, said, window=window, earliest=np.arange(10) * window - 400, reach=800)
    assert found.share == 1.0
    assert found.gain_db > law.heard_limit_db


@pytest.mark.parametrize("name", NAMES)
def test_silence_is_heard_as_silence(name: str) -> None:
    law = coder(name)
    heard = law.sound(octets(law.packets(np.zeros(law.rate, np.float32))))
    assert np.std(heard) < 1e-3


def test_a_payload_that_is_none_is_silence_and_keeps_its_place() -> None:
    law = coder("AMR")
    packets = law.packets(uplink.noise(law.rate, law.rate, 1))
    packets[20] = b"\xf4"
    heard = law.sound(octets(packets))
    assert len(heard) == law.rate
    # The spectrum that the rate is changed by rings a little into the gap.
    assert np.std(heard[20 * 160 + 40 : 21 * 160 - 40]) < np.std(heard) / 10


def test_opus_in_dtx_is_a_toc_with_an_update_in_every_400_ms() -> None:
    pauses = coder("opus").pauses()
    sizes = [len(payload) for payload in pauses]
    assert [place for place, size in enumerate(sizes) if size > 1] == [0, 20, 40, 60, 80]
    assert {payload[0] & 3 for payload in pauses if len(payload) == 1} == {0}, "one frame, of no octets"
    assert np.std(coder("opus").sound(octets(pauses))) < 1e-3


def test_amr_in_dtx_is_a_sid_in_every_160_ms() -> None:
    kinds = [amr.NARROW.frame(payload)[0] >> 3 for payload in coder("AMR").pauses()]
    sid = [place for place, kind in enumerate(kinds) if kind == 8]
    assert len(sid) >= 10
    assert set(np.diff(sid).tolist()) == {8}
    assert {kind for kind in kinds if kind != 8} == {15}, "nothing between them"


@pytest.mark.parametrize("form", [amr.NARROW, amr.WIDE])
def test_amr_payloads_hold_the_frame_and_ask_for_no_mode(form: amr.Form) -> None:
    rng = np.random.default_rng(1)
    for kind, bits in enumerate(form.bits):
        speech = np.packbits(rng.integers(0, 2, bits, np.uint8)).tobytes()
        payload = form.payload(bytes([kind << 3 | 4]) + speech)
        assert payload[0] >> 4 == 15
        assert len(payload) == (10 + bits + 7) // 8
        assert form.frame(payload) == bytes([kind << 3 | 4]) + speech
        assert form.frame(payload[:-1]) == b""
    assert form.frame(b"") == b""


@pytest.mark.parametrize(("name", "package"), [("AMR", "libopencore-amrnb0"), ("AMR-WB", "libvo-amrwbenc0")])
def test_a_missing_encoder_names_its_package(name: str, package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def nothing(file: str) -> None:
        raise OSError(file)

    amr_encoders.load.cache_clear()
    monkeypatch.setattr(amr_encoders._ffi, "dlopen", nothing)
    with pytest.raises(PlanError, match=f"apt-get install {package}"):
        Plan(legs=3, codec=name).check()


def test_no_such_codec() -> None:
    with pytest.raises(CodecError, match="choose opus"):
        coder("GSM")


@pytest.mark.parametrize("count", [4000, 48000])
def test_resampling_keeps_a_tone_in_its_place(count: int) -> None:
    seconds = 1.0
    tone = np.sin(2 * np.pi * 440 * np.arange(8000) / 8000).astype(np.float32)
    expected = np.sin(2 * np.pi * 440 * np.arange(count) / (count / seconds))
    assert np.abs(resample(tone, count) - expected).max() < 1e-4


def test_level_127_is_in_the_header_of_those_who_do_not_talk() -> None:
    plan = Plan(legs=4, talkers=1, codec="opus", quiet="level127", seconds=0.5, warmup=0.1, seed="s")
    plan.check()
    store, order = uplink.store(plan), uplink.order(plan)
    for row, leg in enumerate(order):
        keys = PacketSession(plan.suite, plan.rx_key(int(leg)), ssrc=plan.ssrc(int(leg)))
        sizes = store.length[:, row]
        assert len(set(sizes.tolist())) > 1, "as long as Opus made them"
        clear = keys.unprotect(store.octets[9, row, : sizes[9]].tobytes())
        assert clear is not None
        level = 26 | 0x80 if plan.talks()[leg] else 127
        assert clear[0] == 0x90
        assert clear[1] == 111
        assert clear[4:8] == (int(leg) * 104_729 + 9 * 960).to_bytes(4, "big")
        assert clear[12:20] == bytes([0xBE, 0xDE, 0, 1, LEVEL_ID << 4, level, 0, 0])


@pytest.mark.parametrize("mki", [0, 2])
def test_packets_of_many_sizes_decrypt_to_payloads_in_order(mki: int) -> None:
    plan = Plan(legs=3, talkers=1, codec="opus", quiet="dtx", mki=mki, seconds=1.0, warmup=0.0, seed="s")
    store = uplink.store(plan)
    shared = quiet.payloads(plan)
    row = int(np.flatnonzero(uplink.order(plan) == 2)[0])
    keys = PacketSession(plan.suite, plan.rx_key(2), ssrc=plan.ssrc(2), mki=plan.mki_of("rx"))
    heard = [keys.unprotect(store.octets[tick, row, : store.length[tick, row]].tobytes()) for tick in range(plan.ticks)]
    payloads = [packet[12:] for packet in heard if packet]
    begin = next(start for start in range(len(shared)) if shared[start] == payloads[0] and len(payloads[0]) == 1)
    assert len(payloads) == plan.ticks
    assert any(
        payloads == [shared[(start + tick) % len(shared)] for tick in range(plan.ticks)]
        for start in range(begin, len(shared))
    )


def test_in_clear_the_packets_are_rtp() -> None:
    plan = Plan(legs=2, talkers=1, keying="unique", clear=True, seconds=0.5, warmup=0.0)
    plan.check()
    store = uplink.store(plan)
    assert set(store.length.ravel().tolist()) == {172}
    assert store.octets[3, 0, 12:].tobytes() == plan.coder.packets(uplink.voice(plan, 0))[3]


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"clear": True}, "no keys"),
        ({"codec": "G722", "quiet": "dtx"}, "--quiet silence"),
        ({"codec": "GSM"}, "no codec"),
    ],
)
def test_a_plan_that_cannot_be_is_refused(wrong: dict[str, str], says: str) -> None:
    with pytest.raises(PlanError, match=says):
        Plan(**({"legs": 6} | wrong)).check()  # type: ignore[arg-type]
