"""The generator's own SRTP, codecs and sockets."""

from __future__ import annotations

import numpy as np
import pytest

from bench import uplink
from bench.codec import codec
from bench.plan import Plan, PlanError
from bench.sockets import Inbox, Loopback, Outbox
from bench.srtp import PacketSession, SrtpError
from mixer.suites import SUITES


def packet(sequence: int, ssrc: int = 77) -> bytes:
    return b"\x80\0" + sequence.to_bytes(2, "big") + bytes(4) + ssrc.to_bytes(4, "big") + bytes(range(160))


@pytest.mark.parametrize("suite", SUITES)
@pytest.mark.parametrize("mki", [b"", b"\x01", b"\x01\x02\x03\x04"])
@pytest.mark.parametrize("roc", [0, 5])
def test_srtp_round_trip(suite: str, mki: bytes, roc: int) -> None:
    key = bytes(range(SUITES[suite].secret))  # type: ignore[index]
    there = PacketSession(suite, key, ssrc=77, mki=mki, roc=roc)
    here = PacketSession(suite, key, ssrc=77, mki=mki, roc=roc)
    sealed = there.protect(packet(9))
    assert len(sealed) == 172 + SUITES[suite].tag + len(mki)  # type: ignore[index]
    assert here.unprotect(sealed) == packet(9)
    assert here.unprotect(sealed) is None, "a replay"
    assert here.unprotect(there.protect(packet(10))[:-1] + b"?") is None
    if roc:
        assert PacketSession(suite, key, mki=mki).unprotect(there.protect(packet(11))) is None


def test_a_short_key_is_refused() -> None:
    with pytest.raises(SrtpError, match="30 octets"):
        PacketSession("AES_CM_128_HMAC_SHA1_80", bytes(16))


@pytest.mark.parametrize(("name", "rate"), [("PCMU", 8000), ("PCMA", 8000), ("L16", 48000)])
def test_codecs_keep_what_they_are_given(name: str, rate: int) -> None:
    law = codec(name, rate)
    every = np.arange(256, dtype=np.uint8)
    tone = (0.3 * np.sin(np.arange(law.samples()) / 5)).astype(np.float32)
    error = law.decode(law.encode(tone)) - tone
    assert np.std(error) < np.std(tone) / 50
    assert law.encode(tone).size == law.samples() * law.width
    if law.width == 1:
        assert np.array_equal(law.decode(law.encode(law.decode(every))), law.decode(every))


def test_the_uplink_decrypts_to_what_the_talkers_say() -> None:
    plan = Plan(legs=5, conferences=1, talkers=2, mki=2, roc=3, seconds=0.5, warmup=0.1, seed="s")
    store, order = uplink.packets(plan), uplink.order(plan)
    for row, leg in enumerate(order):
        key, ssrc = plan.rx_key(int(leg)), plan.ssrc(int(leg))
        keys = PacketSession(plan.suite, key, ssrc=ssrc, roc=3, mki=plan.mki_of("rx"))
        clear = [keys.unprotect(store[tick, row].tobytes()) for tick in range(plan.ticks)]
        assert all(clear)
        heard = plan.voice.decode(np.frombuffer(b"".join(c[12:] for c in clear if c), np.uint8))
        if plan.talks()[leg]:
            assert np.corrcoef(heard, uplink.voice(plan, int(leg)))[0, 1] > 0.99
        else:
            assert not heard.any()


def test_each_leg_has_an_address_of_its_own() -> None:
    """Sent to ourselves: source addresses, destinations, octets and times all arrive as meant."""
    plan = Plan(legs=50, conferences=1, talkers=1, seconds=0.5, warmup=0.1, slices=4, seed="s")
    store = uplink.packets(plan)
    there, here = Loopback(), Loopback()
    try:
        outbox = Outbox(store, store.shape[2], uplink.sources(plan), here.port)
        outbox.send(there.fd, 3, 10, 40)
        outbox.send(there.fd, 4, 0, 10)
        inbox = Inbox(100, 256)
        inbox.drain(here.fd)
        assert inbox.count == 50
        assert np.array_equal(inbox.octets[:40, : store.shape[2]], store[3, 10:])
        assert set(inbox.length[:50].tolist()) == {store.shape[2]}
        assert set(inbox.destination().tolist()) == {0x7F000001}
        assert (np.diff(inbox.arrival_ns()) >= 0).all()
        outbox.send(there.fd, 5, 7, 1)
        assert here.socket.recvfrom(2000)[1] == (plan.address(int(uplink.order(plan)[7])), there.port)
    finally:
        there.close()
        here.close()


@pytest.mark.parametrize("wrong", [{"legs": 0}, {"talkers": 16}, {"mki": 5}, {"conferences": 7}, {"rate": 16000}])
def test_a_plan_that_cannot_be_is_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(PlanError):
        Plan(**({"legs": 6} | wrong)).check()  # type: ignore[arg-type]
