"""The telephones judge each other before they judge the focus.

baresip carries an SRTP and a SIP of its own, linphone libsrtp and belle-sip, SIPp replays what the reference of the
tests encrypted. Calls go side by side: they take the time that they take.
"""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import numpy as np
import pytest

from bench.phones.baresip import Baresip
from bench.phones.linphone import Linphone
from bench.phones.wav import read_wav, write_tone
from tests.interop.rude import malformed, rude_caller
from tests.interop.sipp import KEY, Result, Sipp
from tests.tones import assert_hears, purity

Phone = Baresip | Linphone

root = pytest.mark.skipif(os.geteuid() != 0, reason="SIPp replays packets through a raw socket: run as root")
"""CI is root: nothing is left out there."""


async def call(caller: Phone, callee: Phone, *, talk_s: float = 2.5) -> None:
    """A call between two phones that say 700 and 1000 Hz; each must hear the other and not itself."""
    async with caller, callee:
        await caller.dial(callee.uri)
        await asyncio.gather(caller.established(), callee.established())
        await asyncio.sleep(talk_s)
        await caller.hang_up()
        await asyncio.gather(caller.closed(), callee.closed())
    for phone, own, other in ((caller, 700, 1000), (callee, 1000, 700)):
        samples, rate = phone.samples()
        assert_hears(samples, present={other}, absent={own}, rate=rate, seconds=1.0)


@pytest.mark.needs("baresip", "linphonec")
async def test_telephones_hear_each_other_by_sdes_and_dtls(tmp_path: Path) -> None:
    """Every pair of kinds, by both ways to a key."""
    baresip_sdes = Baresip(tmp_path, "a2", answermode="auto", tone_hz=1000)
    baresip_dtls = Baresip(tmp_path, "b2", answermode="auto", tone_hz=1000, mediaenc="dtls_srtp")
    linphone_sdes = Linphone(tmp_path, "c2", auto_answer=True, tone_hz=1000)
    linphone_dtls = Linphone(tmp_path, "d2", auto_answer=True, tone_hz=1000, media_encryption="dtls")
    await asyncio.gather(
        call(Baresip(tmp_path, "a1", tone_hz=700), baresip_sdes),
        # Two handshakes, for RTP and for RTCP, take a second between these two.
        call(Baresip(tmp_path, "b1", tone_hz=700, mediaenc="dtls_srtp"), baresip_dtls, talk_s=4.0),
        call(Baresip(tmp_path, "c1", tone_hz=700), linphone_sdes),
        call(Linphone(tmp_path, "d1", tone_hz=700, media_encryption="dtls"), linphone_dtls),
    )
    assert "AES_CM_128_HMAC_SHA1_80" in baresip_sdes.of("CALL_MENC")[0]["param"]
    assert "UDP/TLS/RTP/SAVPF" in baresip_dtls.words()
    assert "a=crypto:1 AES_CM_128_HMAC_SHA1_80" in linphone_sdes.log()
    assert "UDP/TLS/RTP/SAVP" in linphone_dtls.log()


@pytest.mark.needs("baresip", "linphonec")
async def test_digits_hold_and_resume_over_tcp(tmp_path: Path) -> None:
    """A held call is sendonly on the wire and keeps its keys; what was said before and after is one recording."""
    linphone = Linphone(tmp_path, "linphone", transport="tcp", tone_hz=700)
    baresip = Baresip(tmp_path, "baresip", transport="tcp", answermode="auto", tone_hz=1000)
    async with linphone, baresip:
        await linphone.dial(baresip.uri)
        await asyncio.gather(linphone.established(), baresip.established())
        await linphone.press("42#")
        await baresip.wait_for("CALL_DTMF_END")
        await linphone.hold()
        await linphone.wait_for("a=recvonly")
        await linphone.resume()
        await linphone.wait_for("LinphoneCallResuming to LinphoneCallStreamsRunning")
        await asyncio.sleep(1.5)
        await linphone.hang_up()
        await asyncio.gather(linphone.closed(), baresip.closed())
    assert [event["param"] for event in baresip.of("CALL_DTMF_START")] == ["4", "2", "#"]
    assert "SIP/2.0/TCP" in linphone.log()
    assert "a=sendonly" in linphone.log()
    samples, rate = linphone.samples()
    assert_hears(samples, present={1000}, absent={700}, rate=rate, seconds=1.0)


@pytest.mark.needs("baresip", "linphonec")
async def test_a_call_without_a_common_codec_is_refused(tmp_path: Path) -> None:
    """The caller sees why, and neither has heard anything."""
    linphone = Linphone(tmp_path, "linphone", codecs="pcmu")
    async with linphone, Baresip(tmp_path, "baresip", answermode="auto", codecs="pcma") as baresip:
        await linphone.dial(baresip.uri)
        await linphone.wait_for("SIP/2.0 488")
        assert not baresip.of("CALL_ESTABLISHED")
    with pytest.raises(AssertionError, match="heard no media"):
        baresip.heard()


@root
@pytest.mark.needs("sipp", "baresip", "linphonec")
async def test_sipp_says_a_tone_under_a_key_and_changes_it(tmp_path: Path) -> None:
    """baresip hears what SIPp replays until the key changes, which it ignores; linphone follows."""
    sipp = Sipp(tmp_path, tone_hz=1000, seconds=2.0)
    plain = Baresip(tmp_path, "plain", answermode="auto", codecs="pcmu", transport="tcp")
    deaf = Baresip(tmp_path, "deaf", answermode="auto", codecs="pcmu")
    pliant = Linphone(tmp_path, "pliant", auto_answer=True, codecs="pcmu")

    async def calls(scenario: str, phone: Phone) -> Result:
        async with phone:
            result = await sipp.run(scenario, phone.uri, hold_s=2.0)
            await phone.closed()
        return result

    results = await asyncio.gather(calls("caller", plain), calls("reinvite", deaf), calls("reinvite", pliant))
    assert [(result.successful, result.failed) for result in results] == [(1, 0)] * 3, results
    for phone, seconds in ((plain, 2.0), (deaf, 2.0), (pliant, 4.0)):
        samples, rate = phone.samples()
        assert_hears(samples, present={1000}, rate=rate, seconds=1.0)
        assert abs(len(samples) / rate - seconds) < 0.5, phone.name


@root
@pytest.mark.needs("sipp")
async def test_sipp_counts_what_became_of_its_callers(tmp_path: Path) -> None:
    sipp = Sipp(tmp_path, seconds=0.2)
    async with sipp.answering() as uri:
        good = [sipp.run(scenario, uri, calls=4, rate=20, hold_s=0.2) for scenario in ("caller", "vanish", "noack")]
        # The callee knows no OPTIONS.
        results = await asyncio.gather(*good, sipp.run("options", uri, calls=2, timeout_s=0.7))
    assert [(result.successful, result.failed) for result in results] == [(4, 0), (4, 0), (4, 0), (0, 2)]
    assert [len(result.response_times_s) for result in results] == [4, 4, 4, 0]
    assert results[0].retransmissions == 0
    assert results[3].retransmissions == 2
    assert "receive timeout" in results[3].errors


def test_percentiles_are_of_the_nearest_rank() -> None:
    result = Result(4, 0, 0, (0.1, 0.2, 0.3, 0.4), "")
    assert [result.percentile(percent) for percent in (0, 25, 50, 51, 99, 100)] == [0.1, 0.1, 0.2, 0.3, 0.4, 0.4]


@pytest.mark.needs("baresip")
async def test_rudeness_is_told_from_manners(tmp_path: Path) -> None:
    """baresip copes: one call for an INVITE that comes twice, none for one that is cancelled."""
    auto, hand = Baresip(tmp_path, "auto", answermode="auto", codecs="pcmu"), Baresip(tmp_path, "hand", codecs="pcmu")
    async with auto, hand:
        async with rude_caller(auto.uri) as caller:
            assert (await caller.invite_twice()).status == 200
            assert len({answer.to for answer in caller.finals("INVITE")}) == 1
            assert len(auto.of("CALL_ESTABLISHED")) == 1
        async with rude_caller(auto.uri) as caller:
            for octets in malformed(caller).values():
                caller.send(octets)
            assert await caller.is_served()
        async with rude_caller(hand.uri) as caller:
            assert (await caller.cancel_at_once()).status == 487
            assert not hand.of("CALL_ESTABLISHED")


async def test_nobody_answers_where_nobody_is() -> None:
    async with rude_caller("sip:nobody@127.0.0.1:1") as caller:
        caller.send(caller.invite())
        with pytest.raises(AssertionError, match="no final answer to INVITE"):
            await caller.answer("INVITE", seconds=0.1)


def test_ciphertext_is_no_tone(tmp_path: Path) -> None:
    """What a phone would write that played what it could not decrypt."""
    noise = np.frombuffer(np.random.default_rng(1).bytes(16000), "<i2") / 32768.0
    assert purity(noise) < 0.1
    samples, rate = read_wav(write_tone(tmp_path / "tone.wav", 440, seconds=1.0))
    assert purity(samples, rate=rate) > 0.999
    assert_hears(samples, present={440}, absent={1000}, rate=rate, seconds=0.5)
    assert len(KEY) == 30
