"""The first offer of ours: all we can, and a key for each suite."""

from __future__ import annotations

import pytest

from control.sdp.crypto import CryptoError, CryptoLine
from control.sdp.model import parse
from control.sdp.offer import write_offer
from control.sdp.terms import AMR_WB, G722, L16, OPUS, PCMA, PCMU, Terms
from mixer.port import Opus
from tests.control.sdp import bodies
from tests.control.sdp.bodies import CM_80, crypto, key, local

TERMS = Terms(codecs=(PCMU, PCMA, L16[0]), suites=("AEAD_AES_128_GCM", CM_80))
OFFER = write_offer(TERMS, local(), crypto=bodies.all_lines(TERMS))
DTLS_OFFER = write_offer(TERMS, local(fingerprint=True), security="dtls")


def test_the_first_offer_has_all_we_can() -> None:
    assert OFFER.decode().splitlines() == [
        "v=0",
        "o=- 77 1 IN IP4 192.0.2.9",
        "s=-",
        "c=IN IP4 192.0.2.9",
        "t=0 0",
        "m=audio 30000 RTP/SAVP 0 8 96 13 97 98",
        "a=rtpmap:0 PCMU/8000",
        "a=rtpmap:8 PCMA/8000",
        "a=rtpmap:96 L16/16000",
        "a=rtpmap:13 CN/8000",
        "a=rtpmap:97 telephone-event/8000",
        "a=fmtp:97 0-15",
        "a=rtpmap:98 telephone-event/16000",
        "a=fmtp:98 0-15",
        "a=ptime:20",
        "a=maxptime:60",
        "a=sendrecv",
        "a=rtcp-mux",
        "a=ssrc:16909060 cname:mix@example.net",
        "a=extmap:1/recvonly urn:ietf:params:rtp-hdrext:ssrc-audio-level",
        "a=extmap:2/sendonly urn:ietf:params:rtp-hdrext:csrc-audio-level",
        crypto(1, "AEAD_AES_128_GCM", 101),
        crypto(2, CM_80, 102),
    ]


def test_codecs_are_offered_with_what_we_ask_of_them() -> None:
    terms = Terms(codecs=(OPUS, G722, AMR_WB), opus=Opus(bitrate=24000, max_rate=16000), suites=(CM_80,))
    lines = write_offer(terms, local(), crypto=bodies.all_lines(terms)).decode().splitlines()
    assert lines[5:18] == [
        "m=audio 30000 RTP/SAVP 96 9 97 98 13 99 100 101",
        "a=rtpmap:96 opus/48000/2",
        "a=fmtp:96 maxplaybackrate=16000;sprop-maxcapturerate=16000;maxaveragebitrate=24000;useinbandfec=1",
        "a=rtpmap:9 G722/8000",
        "a=rtpmap:97 AMR-WB/16000",
        "a=rtpmap:98 AMR-WB/16000",
        "a=fmtp:98 octet-align=1",
        "a=rtpmap:13 CN/8000",
        "a=rtpmap:99 telephone-event/48000",
        "a=fmtp:99 0-15",
        "a=rtpmap:100 telephone-event/8000",
        "a=fmtp:100 0-15",
        "a=rtpmap:101 telephone-event/16000",
    ]


def test_a_first_offer_with_dtls() -> None:
    (media,) = parse(DTLS_OFFER).media
    assert media.profile == "UDP/TLS/RTP/SAVP"
    assert (media.attribute("setup"), media.attribute("fingerprint")) == ("actpass", f"sha-256 {bodies.PRINT}")
    assert media.attribute("crypto") is None


@pytest.mark.parametrize(
    "lines",
    [
        [],
        [CryptoLine(1, CM_80, (key(seed=1),)), CryptoLine(1, CM_80, (key(seed=2),))],
        [CryptoLine(1, CM_80, (key(seed=1),)), CryptoLine(2, CM_80, (key(seed=1),))],
        [CryptoLine(1, "AEAD_AES_256_GCM", (key(seed=1),))],
    ],
)
def test_an_offer_needs_a_key_of_its_own_for_each_line(lines: list[CryptoLine]) -> None:
    with pytest.raises(CryptoError):
        write_offer(TERMS, local(), crypto=lines)


def test_an_offer_needs_a_profile_that_fits() -> None:
    with pytest.raises(ValueError, match="profile"):
        write_offer(Terms(profiles=("RTP/SAVP",)), local(fingerprint=True), security="dtls")
