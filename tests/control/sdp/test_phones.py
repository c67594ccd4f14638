"""What comes of the offers of real clients, and of our answers in a reader that is not ours (aiortc)."""

from __future__ import annotations

from dataclasses import replace

from aiortc.sdp import SessionDescription

from control.sdp.answer import agree, write_answer
from control.sdp.model import parse
from control.sdp.offer import agree_answer, write_offer
from control.sdp.terms import PCMU, Terms
from mixer.port import Opus
from tests.control.sdp import bodies

TERMS = Terms()


def test_baresip() -> None:
    agreed = agree(parse(bodies.BARESIP), TERMS)
    assert (agreed.codec, agreed.payload_type, agreed.telephone_event, agreed.ptime) == ("PCMA", 8, 101, 20)
    assert (agreed.remote, agreed.ssrcs) == ("127.0.0.1:42068", (856715241,))
    assert (agreed.rtcp_mux, agreed.rtcp_port, agreed.mki) == (False, None, False)
    assert agreed.crypto is not None
    assert agreed.crypto.keys[0].secret.reveal() == bodies.octets(30)


def test_baresip_is_answered() -> None:
    offer = parse(bodies.BARESIP)
    assert write_answer(offer, agree(offer, TERMS), bodies.local()).decode().splitlines() == [
        "v=0",
        "o=- 77 1 IN IP4 192.0.2.9",
        "s=-",
        "c=IN IP4 192.0.2.9",
        "t=0 0",
        "m=audio 30000 RTP/SAVP 8 101",
        "a=rtpmap:8 PCMA/8000",
        "a=rtpmap:101 telephone-event/8000",
        "a=fmtp:101 0-15",
        "a=ptime:20",
        "a=maxptime:60",
        "a=sendrecv",
        "a=ssrc:16909060 cname:mix@example.net",
        bodies.crypto(seed=100),
    ]


def test_baresip_with_dtls() -> None:
    offer = parse(bodies.BARESIP_DTLS)
    agreed = agree(offer, TERMS)
    assert (agreed.security, agreed.setup, agreed.crypto) == ("dtls", "active", None)
    assert agreed.fingerprints == (("sha-256", bodies.PRINT),)
    answer = SessionDescription.parse(write_answer(offer, agreed, bodies.local(fingerprint=True)).decode())
    (media,) = answer.media
    assert (media.port, media.profile, media.rtcp_mux) == (30000, "UDP/TLS/RTP/SAVPF", False)
    assert media.dtls is not None
    assert media.dtls.role == "client"
    assert [(each.algorithm, each.value) for each in media.dtls.fingerprints] == [("sha-256", bodies.PRINT)]


def test_linphone() -> None:
    agreed = agree(parse(bodies.LINPHONE), TERMS)
    assert (agreed.codec, agreed.telephone_event) == ("PCMU", 100)
    assert agreed.crypto is not None
    assert (agreed.crypto.tag, agreed.crypto.suite) == (3, "AES_256_CM_HMAC_SHA1_80")
    preferring_32 = agree(parse(bodies.LINPHONE), Terms(suites=("AES_CM_128_HMAC_SHA1_32", bodies.CM_80)))
    assert preferring_32.crypto is not None
    assert preferring_32.crypto.tag == 2


def test_ffmpeg_has_pcma_under_a_number_of_its_own() -> None:
    agreed = agree(parse(bodies.FFMPEG), TERMS)
    assert (agreed.codec, agreed.payload_type, agreed.payload_type_in) == ("PCMA", 97, 97)


def test_chromium() -> None:
    offer = parse(bodies.CHROMIUM)
    agreed = agree(offer, Terms(codecs=(PCMU,)))
    assert (agreed.codec, agreed.telephone_event, agreed.level_in, agreed.level_out) == ("PCMU", 126, 1, None)
    assert agreed.comfort_noise == 13
    assert (agreed.remote, agreed.direction, agreed.rtcp_mux, agreed.rtcp_port) == (None, "sendrecv", True, None)
    answer = SessionDescription.parse(write_answer(offer, agreed, bodies.local(fingerprint=True)).decode())
    (media,) = answer.media
    assert (media.rtcp_mux, media.rtp.muxId, media.direction) == (True, "0", "sendrecv")
    assert [codec.mimeType for codec in media.rtp.codecs] == ["audio/PCMU", "audio/CN", "audio/telephone-event"]
    assert [(each.id, each.uri) for each in media.rtp.headerExtensions] == [
        (1, "urn:ietf:params:rtp-hdrext:ssrc-audio-level")
    ]
    assert [each.ssrc for each in media.ssrc] == [0x01020304]


def test_chromium_with_opus() -> None:
    offer = parse(bodies.CHROMIUM)
    agreed = agree(offer, TERMS)
    assert (agreed.codec, agreed.rate, agreed.payload_type) == ("opus", 48000, 111)
    assert (agreed.telephone_event, agreed.telephone_rate, agreed.comfort_noise) == (110, 48000, None)
    assert agreed.opus == Opus(fec=True)
    answer = SessionDescription.parse(write_answer(offer, agreed, bodies.local(fingerprint=True)).decode())
    opus, event = answer.media[0].rtp.codecs
    assert (opus.mimeType, opus.clockRate, opus.channels, opus.payloadType) == ("audio/opus", 48000, 2, 111)
    assert opus.parameters == {"maxaveragebitrate": "32000", "useinbandfec": 1}
    assert (event.mimeType, event.clockRate) == ("audio/telephone-event", 48000)


def test_baresip_with_opus_has_events_of_another_clock() -> None:
    offer = parse(bodies.BARESIP_OPUS)
    agreed = agree(offer, TERMS)
    assert agreed.opus == Opus(bitrate=24000)
    assert (agreed.codec, agreed.telephone_event, agreed.telephone_rate) == ("opus", 101, 8000)
    lines = write_answer(offer, agreed, bodies.local()).decode().splitlines()
    assert lines[5:10] == [
        "m=audio 30000 RTP/SAVP 96 101",
        "a=rtpmap:96 opus/48000/2",
        "a=fmtp:96 maxaveragebitrate=32000;useinbandfec=1",
        "a=rtpmap:101 telephone-event/8000",
        "a=fmtp:101 0-15",
    ]


def test_linphone_with_opus() -> None:
    body = bodies.LINPHONE.replace(b"SAVP 97", b"SAVP 96 97").replace(
        b"a=rtpmap:97", b"a=rtpmap:96 opus/48000/2\r\na=fmtp:96 useinbandfec=1\r\na=rtpmap:97"
    )
    agreed = agree(parse(body), TERMS)
    assert (agreed.codec, agreed.payload_type, agreed.telephone_event) == ("opus", 96, 101)


def test_two_foci_understand_each_other() -> None:
    """Each of our suites, and DTLS, over IPv6: what one offers the other takes, and both end up with the same."""
    here, there = bodies.local(host="2001:db8::1"), bodies.local(host="2001:db8::2", fingerprint=True)
    for suite in TERMS.suites:
        terms = Terms(suites=(suite,))
        offer = write_offer(terms, here, crypto=bodies.all_lines(terms))
        taken = agree(parse(offer), terms)
        length = len(bodies.all_lines(terms)[0].keys[0].secret)
        answer = write_answer(parse(offer), taken, replace(there, keys=(bodies.key(length, 5),)))
        given = agree_answer(offer, parse(answer), terms)
        assert (given.codec, given.payload_type, given.rate) == (taken.codec, taken.payload_type, taken.rate)
        assert (given.level_in, given.level_out) == (None, None)  # both are mixers: neither hears the other's levels
        assert (taken.remote, given.remote) == ("[2001:db8::1]:30000", "[2001:db8::2]:30000")
        assert given.crypto is not None
        assert given.crypto.keys[0].secret.reveal() == bodies.octets(length, 5)


def test_two_foci_agree_on_who_connects() -> None:
    offer = write_offer(TERMS, bodies.local(fingerprint=True), security="dtls")
    taken = agree(parse(offer), TERMS)
    answer = write_answer(parse(offer), taken, bodies.local(fingerprint=True))
    assert (taken.setup, agree_answer(offer, parse(answer), TERMS).setup) == ("active", "passive")
    assert SessionDescription.parse(offer.decode()).media[0].dtls is not None
