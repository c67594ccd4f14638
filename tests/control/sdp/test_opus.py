"""Opus in SDP: the examples of RFC 7587, and what a peer may and may not make us do."""

from __future__ import annotations

import pytest

from control.sdp import opus
from control.sdp.answer import agree, write_answer
from control.sdp.model import parse
from control.sdp.offer import agree_answer, write_offer
from control.sdp.parameters import parameters_of
from control.sdp.terms import OPUS, Terms
from mixer.port import Opus
from tests.control.sdp import bodies
from tests.control.sdp.bodies import local, offer
from tests.control.sdp.judging import judged

ALL = Opus(bitrate=128000, dtx=True, stereo=True)
"""What we could be asked for, and more."""


def asked(text: str, ours: Opus = ALL) -> Opus:
    return opus.asked(parameters_of(text), ours)


def test_the_example_of_a_narrow_peer() -> None:
    """RFC 7587 section 7: 16 kHz is enough for it, it takes 20 kbit/s, one channel, no FEC and no DTX."""
    meant = asked("maxplaybackrate=16000; sprop-maxcapturerate=16000; maxaveragebitrate=20000; stereo=0")
    assert (meant.max_rate, meant.bitrate, meant.stereo, meant.fec, meant.dtx) == (16000, 20000, False, False, False)


def test_the_example_of_a_wide_peer() -> None:
    meant = asked("maxplaybackrate=48000; stereo=1; useinbandfec=1; usedtx=1; maxaveragebitrate=96000; cbr=1")
    assert meant == Opus(bitrate=96000, fec=True, dtx=True, cbr=True, stereo=True)


def test_without_parameters_there_is_neither_fec_nor_dtx_nor_stereo() -> None:
    assert asked("") == Opus(bitrate=128000, fec=False)


def test_a_peer_gets_nothing_beyond_our_bounds() -> None:
    meant = asked("maxaveragebitrate=510000;stereo=1;usedtx=1;useinbandfec=1", Opus(bitrate=16000, fec=False))
    assert meant == Opus(bitrate=16000, fec=False)
    assert asked("maxplaybackrate=48000", Opus(max_rate=16000)).max_rate == 16000
    assert asked("cbr=0", Opus(cbr=True)).cbr


def test_bitrates_are_few_so_that_encodes_are_shared() -> None:
    meant = {asked(f"maxaveragebitrate={rate}").bitrate for rate in range(6000, 128000, 7)}
    assert meant <= {*opus.BITRATES, 128000}
    assert asked("maxaveragebitrate=23999").bitrate == 20000


@pytest.mark.parametrize(("wanted", "rate"), [(8000, 8000), (12000, 16000), (16001, 24000), (44100, 48000)])
def test_the_rate_has_all_that_the_peer_can_play(wanted: int, rate: int) -> None:
    assert asked(f"maxplaybackrate={wanted}").max_rate == rate


@pytest.mark.parametrize(
    "text",
    [
        "maxaveragebitrate=5999",
        "maxaveragebitrate=510001",
        "maxaveragebitrate=-6000",
        "maxaveragebitrate=6e3",
        "maxaveragebitrate=20000;maxaveragebitrate=30000",
        "maxaveragebitrate=\u0663\u0664\u0665\u0666\u0667",
        "maxaveragebitrate=99999999999999999999",
        "maxplaybackrate=0",
        "maxplaybackrate=",
        "stereo=2;usedtx=yes;useinbandfec=true;cbr=01",
        "stereo;usedtx;useinbandfec;cbr",
        "useinbandfec=1;useinbandfec=0",
        ";;=;=1; ;",
    ],
)
def test_what_makes_no_sense_is_passed_over(text: str) -> None:
    assert asked(text) == asked("")


def test_what_we_ask_for() -> None:
    assert opus.told(Opus()) == "maxaveragebitrate=32000;useinbandfec=1"
    everything = Opus(bitrate=64000, dtx=True, cbr=True, stereo=True, max_rate=24000)
    assert opus.told(everything) == (
        "maxplaybackrate=24000;sprop-maxcapturerate=24000;maxaveragebitrate=64000;sprop-stereo=1;useinbandfec=1;"
        "usedtx=1;cbr=1"
    )


def test_a_peer_that_reads_what_we_ask_for_does_so() -> None:
    ours = Opus(bitrate=24000, dtx=True, max_rate=16000)
    assert asked(opus.told(ours), Opus(bitrate=128000, dtx=True)) == ours


def test_the_running_encoder_stays_when_the_peer_asks_for_something_else() -> None:
    first = offer("a=rtpmap:97 opus/48000/2", "a=fmtp:97 maxaveragebitrate=20000", "a=ptime:40", formats="97")
    again = offer("a=rtpmap:97 opus/48000/2", "a=fmtp:97 maxaveragebitrate=8000", "a=ptime:10", formats="97")
    before = judged(first)
    assert agree(again, Terms(), before=before) == before


def test_offer_and_answer_meet() -> None:
    terms = Terms(codecs=(OPUS,), opus=Opus(bitrate=24000), suites=(bodies.CM_80,))
    body = write_offer(terms, local(), crypto=bodies.all_lines(terms))
    taken = agree(parse(body), Terms(opus=Opus(bitrate=64000, max_rate=16000)))
    assert taken.opus == Opus(bitrate=24000, max_rate=16000)
    given = agree_answer(body, parse(write_answer(parse(body), taken, local(bodies.key(seed=9)))), terms)
    assert given.opus == Opus(bitrate=24000, max_rate=16000)
    assert (given.payload_type, given.payload_type_in, given.telephone_rate) == (96, 96, 48000)
