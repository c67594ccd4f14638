"""Which codec, in which packets."""

from __future__ import annotations

import pytest

from control.sdp.terms import PCMA, PCMU, Terms
from tests.control.sdp.bodies import offer
from tests.control.sdp.judging import judged, warning


@pytest.mark.parametrize(
    ("formats", "maps", "codec", "rate", "payload_type"),
    [
        ("0 8", (), "PCMU", 8000, 0),
        ("8", (), "PCMA", 8000, 8),
        ("8 0", (), "PCMU", 8000, 0),
        ("97", ("97 pcma/8000",), "PCMA", 8000, 97),
        ("97 0", ("97 PCMU/8000/1",), "PCMU", 8000, 97),
        ("97", ("97 l16/48000",), "L16", 48000, 97),
        ("97 98", ("97 L16/8000", "98 L16/16000"), "L16", 16000, 98),
        ("0 8", ("0 PCMA/8000",), "PCMA", 8000, 8),
        ("0 9", (), "G722", 8000, 9),
        ("0 97", ("97 OPUS/48000/2",), "opus", 48000, 97),
        ("8 97", ("97 AMR-WB/16000/1",), "AMR-WB", 16000, 97),
        ("97", ("97 AMR/8000",), "AMR", 8000, 97),
        ("66 97", ("66 PCMU/8000", "97 PCMU/8000"), "PCMU", 8000, 97),
    ],
)
def test_the_codec(formats: str, maps: tuple[str, ...], codec: str, rate: int, payload_type: int) -> None:
    agreed = judged(offer(*(f"a=rtpmap:{each}" for each in maps), formats=formats))
    assert (agreed.codec, agreed.rate, agreed.payload_type) == (codec, rate, payload_type)


@pytest.mark.parametrize(
    ("formats", "maps"),
    [
        ("18", ()),
        ("128", ("128 PCMU/8000",)),
        ("97", ()),
        ("97", ("97 PCMU/16000",)),
        ("97", ("97 L16/44100",)),
        ("97", ("97 L16/48000/2",)),
        ("97", ("97 opus/48000",)),
        ("97", ("97 opus/48000/1",)),
        ("97", ("97 opus/16000/2",)),
        ("97", ("97 G722/16000",)),
        ("97", ("97 AMR/8000/2",)),
        ("97", ("97 AMR-WB/8000",)),
        ("9", ("9 PCMU/8000",)),
        ("97", ("97 PCMU",)),
        ("0", ("0 PCMA/8000",)),
        ("*", ()),
    ],
)
def test_no_codec_of_ours(formats: str, maps: tuple[str, ...]) -> None:
    assert warning(offer(*(f"a=rtpmap:{each}" for each in maps), formats=formats)) == 305


def test_our_order_of_codecs_counts() -> None:
    assert judged(offer(formats="0 8"), Terms(codecs=(PCMA, PCMU))).codec == "PCMA"


@pytest.mark.parametrize(
    ("attributes", "ptime"),
    [
        ((), 20),
        (("a=ptime:10",), 10),
        (("a=ptime:30",), 30),
        (("a=ptime:60",), 60),
        (("a=ptime:240",), 60),
        (("a=ptime:50",), 40),
        (("a=ptime:2.5",), 10),
        (("a=ptime:30", "a=maxptime:20"), 20),
        (("a=maxptime:10",), 10),
        (("a=maxptime:5",), 10),
        (("a=ptime:x",), 20),
    ],
)
def test_the_packet_time_is_what_the_peer_asks_for_if_it_can_be(attributes: tuple[str, ...], ptime: int) -> None:
    assert judged(offer(*attributes)).ptime == ptime


def test_packets_hold_whole_frames() -> None:
    amr = offer("a=rtpmap:97 AMR/8000", "a=ptime:30", formats="97")
    opus = offer("a=rtpmap:97 opus/48000/2", "a=ptime:30", formats="97")
    assert (judged(amr).ptime, judged(opus).ptime) == (20, 20)
    assert judged(offer("a=rtpmap:97 AMR/8000", "a=ptime:10", formats="97")).ptime == 20


def test_wide_audio_is_cut_to_the_mtu() -> None:
    assert judged(offer("a=rtpmap:97 L16/48000", "a=ptime:20", formats="97")).ptime == 10


@pytest.mark.parametrize(
    ("formats", "maps", "noise"),
    [
        ("0 13", (), 13),
        ("9 13", (), 13),
        ("0", (), None),
        ("0 98", ("98 CN/16000",), None),
        ("97 13", ("97 L16/16000",), None),
        ("97 98", ("97 L16/16000", "98 CN/16000"), 98),
        ("97 13", ("97 opus/48000/2",), None),
        ("0 13", ("13 PCMA/8000",), None),
    ],
)
def test_comfort_noise_has_the_clock_of_a_codec_without_its_own(
    formats: str, maps: tuple[str, ...], noise: int | None
) -> None:
    session = offer(*(f"a=rtpmap:{each}" for each in maps), formats=formats)
    assert judged(session).comfort_noise == noise
    assert judged(session, Terms(comfort_noise=False)).comfort_noise is None


def test_telephone_event_has_the_clock_of_the_audio() -> None:
    events = ("a=rtpmap:100 telephone-event/16000", "a=rtpmap:101 TELEPHONE-EVENT/8000")
    assert judged(offer(*events, formats="0 100 101")).telephone_event == 101
    assert judged(offer(*events, formats="0 100")).telephone_event is None
    assert judged(offer(*events, formats="0 100 101"), Terms(dtmf=False)).telephone_event is None
