"""Real telephones dial into real rooms: who hears whom, under which key, and who hears nothing any more.

baresip carries an SRTP and a SIP of its own, and holds one key for life; linphone takes a new key from a re-INVITE;
the scripted callers have a tap on their lines.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from bench.callers.caller import CallRefused
from bench.phones.baresip import Baresip
from bench.phones.linphone import Linphone
from control.sdp.answer import Unacceptable
from tests.control.focus.house import House, house, listen, phones, until
from tests.control.focus.house import assert_hears as assert_caller_hears
from tests.control.focus.test_doors import with_users
from tests.control.focus.test_keys import CURRENT, GROUP, in_group, keyings
from tests.tones import Samples, assert_hears, level_db

TALK_S = 2.0
"""So long everybody talks between two events."""

pytestmark = pytest.mark.needs("baresip", "linphonec")


def between(samples: Samples, rate: int, begin_s: float, end_s: float) -> Samples:
    """A part of a recording, counted from its end if negative."""
    length = len(samples) / rate
    first, last = (moment + length if moment < 0 else moment for moment in (begin_s, end_s))
    return samples[round(first * rate) : round(last * rate)]


def assert_phone_hears(phone: Baresip | Linphone, present: set[int], absent: set[int]) -> None:
    """Of what it recorded, for a second at least."""
    samples, rate = phone.samples()
    assert_hears(samples, present=present, absent=absent, rate=rate, seconds=1.0)


async def hang_up(*which: Baresip | Linphone) -> None:
    for phone in which:
        await phone.hang_up()
    await asyncio.gather(*(phone.closed() for phone in which))


async def test_three_kinds_of_phones_in_a_room_under_a_group_key(tmp_path: Path) -> None:
    """One leaves, the room is rekeyed by its policy, the leaver reads nothing after; one comes late, and hears."""
    async with (
        house(tmp_path, GROUP) as here,
        phones(("cyd", 1000), ("dan", 1300)) as (cyd, dan),
        Baresip(tmp_path, "ann", tone_hz=440) as ann,
        Linphone(tmp_path, "bob", tone_hz=700) as bob,
        Linphone(tmp_path, "eve", tone_hz=550) as eve,
    ):
        for phone in (ann, bob, cyd, dan):
            await phone.dial(here.uri("room"))
        await asyncio.gather(ann.established(), bob.established())
        await until(lambda: in_group(here, "bob", "cyd", "dan"))
        assert keyings(here)["ann"] == "own"  # it would say 200 to another key, and go on with the first
        await listen(cyd, dan, seconds=TALK_S)
        await cyd.hang_up()
        left = len(dan.arrived_packets)
        taken = dan.report().keys_taken
        await until(lambda: dan.report().keys_taken > taken and in_group(here, "bob", "dan"))
        await listen(dan, seconds=0.3)
        switched = len(dan.arrived_packets)
        await eve.dial(here.uri("room"))
        await eve.established()
        (heard,) = await listen(dan, seconds=TALK_S)
        assert_caller_hears(heard, set(), {1000, 1300})
        await hang_up(ann, bob, eve)
        # The tap was hers to read while she was there, and is no more.
        assert cyd.reads(dan.arrived_packets[:left]) > 0
        assert len(dan.arrived_packets) - switched > 50
        assert cyd.reads(dan.arrived_packets[switched:]) == 0
        assert not here.focus.reception.faults
    assert "media_stream_set_srtp_recv_key" in bob.log() or "recv_key" in bob.log()
    assert_phone_hears(ann, {700, 550}, absent={440, 1000})
    assert_phone_hears(bob, {440, 550}, absent={700, 1000})
    late, rate = eve.samples()
    first = between(late, rate, 0.3, 0.8)
    assert level_db(first, 440, rate=rate) > -20.0  # at once, though the room has talked for long
    assert level_db(first, 700, rate=rate) > -20.0


async def test_phones_that_agree_on_keys_by_dtls(tmp_path: Path) -> None:
    async with (
        house(tmp_path) as here,
        phones(("cyd", 1000)) as (cyd,),
        Baresip(tmp_path, "ann", tone_hz=440, mediaenc="dtls_srtp") as ann,
        Linphone(tmp_path, "bob", tone_hz=700, media_encryption="dtls") as bob,
    ):
        for phone in (ann, bob, cyd):
            await phone.dial(here.uri("room"))
        await asyncio.gather(ann.established(), bob.established())
        await until(lambda: {call.agreed.security for _, call in here.focus.switchboard.calls.values() if call.agreed})
        await listen(cyd, seconds=TALK_S + 2.0)
        await hang_up(ann, bob)
    assert_phone_hears(ann, {700, 1000}, absent={440})
    assert_phone_hears(bob, {440, 1000}, absent={700})


async def test_a_phone_that_is_called_takes_gcm(tmp_path: Path) -> None:
    told = '[default_room]\nsuite = "AEAD_AES_128_GCM"\n[media]\nsuites = ["AEAD_AES_128_GCM"]\n'
    async with (
        house(tmp_path, told) as here,
        phones(("cyd", 1000), suites=("AEAD_AES_128_GCM",)) as (cyd,),
        Baresip(tmp_path, "ann", tone_hz=440, answermode="auto") as ann,
    ):
        await cyd.dial(here.uri("room"))
        await here.focus.switchboard.dial_out("room", ann.uri)
        (heard,) = await listen(cyd, seconds=TALK_S)
        assert_caller_hears(heard, set(), {1000})
        assert level_db(heard.astype(float), 440) > -20.0
        assert suites_of(here) == {"AEAD_AES_128_GCM"}
        await hang_up(ann)
    assert_phone_hears(ann, {1000}, absent={440})


def suites_of(here: House) -> set[str]:
    """Of all calls."""
    agreed = [call.agreed for _, call in here.focus.switchboard.calls.values()]
    return {one.crypto.suite for one in agreed if one is not None and one.crypto is not None}


async def test_a_phone_that_answers_what_was_not_offered_is_hung_up_on(tmp_path: Path) -> None:
    """baresip 1.0 knows no AES_256_CM, says 200 with a suite of its own choice, and sends clear audio."""
    told = '[default_room]\nsuite = "AES_256_CM_HMAC_SHA1_80"\n[media]\nsuites = ["AES_256_CM_HMAC_SHA1_80"]\n'
    async with (
        house(tmp_path, told) as here,
        phones(("cyd", 1000), suites=("AES_256_CM_HMAC_SHA1_80",)) as (cyd,),
        Baresip(tmp_path, "ann", tone_hz=440, answermode="auto") as ann,
    ):
        await cyd.dial(here.uri("room"))
        with pytest.raises((Unacceptable, CallRefused)):
            await here.focus.switchboard.dial_out("room", ann.uri)
        await ann.closed()
        (heard,) = await listen(cyd)
        assert_caller_hears(heard, set(), {440, 1000})
        assert len(here.focus.switchboard.calls) == 1


async def test_phones_prove_who_they_are(tmp_path: Path) -> None:
    """linphone by SHA-256; baresip knows MD5 alone, and hangs up if it sees more. Who guesses is not let in."""
    told = with_users(tmp_path, {"ann": "sesame", "bob": "open"})
    async with (
        house(tmp_path, told) as here,
        Baresip(tmp_path, "ann", user="ann", password="sesame") as ann,
        Linphone(tmp_path, "bob", user="bob", password="open") as bob,
        Linphone(tmp_path, "eve", user="ann", password="guess") as eve,
    ):
        for phone in (ann, bob, eve):
            await phone.dial(here.uri("staff"))
        await asyncio.gather(ann.established(), bob.established())
        await eve.wait_for("SIP/2.0 401")
        proofs = {call.identity.uri: call.identity.proof for _, call in here.focus.switchboard.calls.values()}
        assert proofs == {"sip:ann@example.net": "digest", "sip:bob@example.net": "digest"}
        assert "algorithm=SHA-256" in bob.log()


async def test_a_phone_that_ignores_new_keys_is_found_out(tmp_path: Path) -> None:
    """baresip, not known as such: its reports stand still, it is called again, and then has a key for life."""
    told = GROUP + '[keys]\nfor_life = []\nlaggards = "recall"\n'
    async with (
        house(tmp_path, told) as here,
        phones(("cyd", 1000)) as (cyd,),
        Baresip(tmp_path, "ann", tone_hz=440, answermode="auto") as ann,
    ):
        await cyd.dial(here.uri("room"))
        await ann.dial(here.uri("room"))
        await ann.established()
        await listen(cyd, seconds=6.0)  # it has reported once that it hears
        await until(lambda: in_group(here, "ann"), 5.0)
        await until(lambda: len(ann.of("CALL_ESTABLISHED")) == 2, 30.0)
        await until(lambda: keyings(here).get("ann") == "own")
        (heard,) = await listen(cyd, seconds=TALK_S)
        assert level_db(heard.astype(float), 440) > -20.0
        await hang_up(ann)
    samples, rate = ann.samples()
    assert_hears(samples, present={1000}, absent={440}, rate=rate, seconds=1.0, sent_db=-14.0)


async def test_hold_and_resume_of_a_phone(tmp_path: Path) -> None:
    async with (
        house(tmp_path) as here,
        phones(("cyd", 1000)) as (cyd,),
        Linphone(tmp_path, "bob", tone_hz=700) as bob,
    ):
        await cyd.dial(here.uri("room"))
        await bob.dial(here.uri("room"))
        await bob.established()
        (heard,) = await listen(cyd)
        assert level_db(heard.astype(float), 700) > -20.0
        await bob.hold()
        await until(lambda: any(call.on_hold for _, call in here.focus.switchboard.calls.values()))
        await listen(cyd, seconds=0.3)
        (heard,) = await listen(cyd)
        assert level_db(heard.astype(float), 700) < -50.0
        await bob.resume()
        await bob.wait_for("LinphoneCallResuming to LinphoneCallStreamsRunning")
        await listen(cyd, seconds=0.5)
        (heard,) = await listen(cyd)
        assert level_db(heard.astype(float), 700) > -20.0
        await hang_up(bob)


async def test_admission_under_the_key_in_use(tmp_path: Path) -> None:
    """A telephone is given the group key in its answer, and hears at once; the others are told nothing."""
    async with (
        house(tmp_path, CURRENT) as here,
        phones(("cyd", 1000), ("dan", 1300)) as (cyd, dan),
        Linphone(tmp_path, "bob", tone_hz=700) as bob,
    ):
        for caller in (cyd, dan):
            await caller.dial(here.uri("room"))
        await until(lambda: in_group(here, "cyd", "dan"))
        taken = cyd.report().keys_taken
        await bob.dial(here.uri("room"))
        await bob.established()
        assert in_group(here, "bob")
        await listen(cyd, seconds=TALK_S)
        assert cyd.report().keys_taken == taken
        await hang_up(bob)
    samples, rate = bob.samples()
    assert_hears(samples, present={1000, 1300}, absent={700}, rate=rate, seconds=1.0, sent_db=-14.0)


async def test_every_codec_in_one_room_under_a_group_key(tmp_path: Path) -> None:
    """Opus, G.722 and G.711 hear each other. At less than 64 kbit/s five tones in Opus have noise of their own that is
    as loud between them as what must not be heard."""
    async with (
        house(tmp_path, GROUP + "[media.opus]\nbitrate = 64000\n") as here,
        phones(("cyd", 1000), ("dan", 1300)) as (cyd, dan),
        Baresip(tmp_path, "ann", tone_hz=440, codecs="opus/48000/1") as ann,
        Baresip(tmp_path, "bob", tone_hz=700, codecs="g722/16000/1") as bob,
        Baresip(tmp_path, "eve", tone_hz=550, codecs="pcma") as eve,
    ):
        for phone in (ann, bob, eve, cyd, dan):
            await phone.dial(here.uri("room"))
        await asyncio.gather(ann.established(), bob.established(), eve.established())
        calls = {call.identity.uri: call for _, call in here.focus.switchboard.calls.values()}
        agreed = {uri[4:7]: call.agreed for uri, call in calls.items() if call.agreed}
        assert {name: each.codec for name, each in agreed.items() if name in ("ann", "bob", "eve")} == {
            "ann": "opus",
            "bob": "G722",
            "eve": "PCMA",
        }
        assert agreed["ann"].opus is not None
        assert agreed["ann"].opus.bitrate == 64000
        await until(lambda: in_group(here, "cyd", "dan"))
        (heard,) = await listen(dan, seconds=TALK_S)
        assert_caller_hears(heard, {440, 700, 550, 1000}, {1300}, level=0.25)
        for phone in (ann, bob, eve):
            await phone.hang_up()
        await asyncio.gather(ann.closed(), bob.closed(), eve.closed())
        assert not here.faults
    for phone in (ann, bob, eve):
        others = {440, 700, 550, 1000, 1300} - {round(phone.tone_hz)}
        samples, rate = phone.samples()
        assert rate == phone.rate
        assert_hears(samples, present=others, absent={round(phone.tone_hz)}, rate=rate, seconds=1.0)


async def test_a_pin_keyed_in_on_a_real_phone(tmp_path: Path) -> None:
    """baresip offers Opus with telephone events of another clock, and presses its keys with them."""
    told = '[room.board]\npin = "4711"\n'
    async with (
        house(tmp_path, told) as here,
        phones(("cyd", 1000)) as (cyd,),
        Baresip(tmp_path, "ann", tone_hz=440, codecs="opus/48000/1") as ann,
    ):
        await cyd.dial(here.uri("board;pin=4711"))
        await ann.dial(here.uri("board"))
        await ann.established()
        (call,) = [call for _, call in here.focus.switchboard.calls.values() if "ann" in call.identity.uri]
        assert call.agreed is not None
        assert (call.agreed.codec, call.agreed.telephone_rate) == ("opus", 8000)
        await until(lambda: call.ssrc)
        (before,) = await listen(cyd)
        assert_caller_hears(before, set(), {440, 1000})
        await ann.press("4711#")
        await until(lambda: not call.waiting)
        (after,) = await listen(cyd, seconds=TALK_S)
        assert_caller_hears(after, {440}, {1000}, level=0.25)
