"""Offers at random: plausible lines in no particular order, with bad ones among them."""

from __future__ import annotations

from hypothesis import strategies as st

from tests.control.sdp import bodies
from tests.control.sdp.bodies import crypto

_EXTENSION = "urn:ietf:params:rtp-hdrext:"

_PARAMETERS = (
    "octet-align=1",
    "mode-set=0,2,5,7",
    "mode-set=8,9",
    "crc=1; interleaving=4",
    "mode-change-period=2",
    "maxaveragebitrate=6001;useinbandfec=1;cbr=1",
    "maxplaybackrate=0;stereo=2;=;;usedtx",
)

_ATTRIBUTES = st.sampled_from(
    [
        *(f"a={direction}" for direction in ("sendrecv", "sendonly", "recvonly", "inactive")),
        *(f"a=ptime:{value}" for value in ("10", "35", "0", "99999", "x")),
        *(f"a=rtpmap:{value}" for value in ("97 PCMA/8000", "98 L16/48000", "101 telephone-event/8000", "0 PCMA/8000")),
        *(f"a=rtpmap:{value}" for value in ("97 opus/48000/2", "98 AMR/8000", "97 AMR-WB/16000/1", "98 CN/16000")),
        *(f"a=fmtp:{number} {value}" for number in (97, 98) for value in _PARAMETERS),
        *(f"c={value}" for value in ("IN IP4 0.0.0.0", "IN IP6 ::1", "IN IP4 h.example", "IN IP4 224.0.0.1", "X Y Z")),
        *(crypto(tag, suite, tag) for tag, suite in enumerate(("AEAD_AES_256_GCM", bodies.CM_80), 1)),
        crypto(1, seed=5, rest="|2^20|1:1"),
        crypto(9, rest=" UNENCRYPTED_SRTP"),
        "a=crypto:",
        f"a=fingerprint:sha-256 {bodies.PRINT}",
        "a=fingerprint:",
        *(f"a=setup:{value}" for value in ("actpass", "active", "passive", "holdconn", "")),
        "a=rtcp-mux",
        "a=rtcp:5",
        "a=mid:0",
        f"a=extmap:1 {_EXTENSION}ssrc-audio-level",
        f"a=extmap:2 {_EXTENSION}csrc-audio-level vad=on",
        "a=ssrc:5 cname:x",
        "b=AS:64",
        "i=caf\u00e9",
    ]
)

_PROFILES = st.sampled_from(
    ["RTP/SAVP", "RTP/SAVP", "RTP/SAVPF", "UDP/TLS/RTP/SAVP", "UDP/TLS/RTP/SAVPF", "RTP/AVP", "udptl"]
)


@st.composite
def _media(draw: st.DrawFn) -> list[str]:
    """Half of them could well be agreed to, but for what else is drawn."""
    kind = draw(st.sampled_from(["audio", "audio", "audio", "video"]))
    port = draw(st.sampled_from(["4000", "4000", "4000", "4000/2", "0", "9", "65535"]))
    formats = draw(st.permutations(["0", "8", "9", "13", "97", "98", "101", "18", "x"]))[: draw(st.integers(1, 9))]
    base = [crypto(4, seed=4), "a=rtpmap:97 PCMA/8000"] if draw(st.booleans()) else []
    first = f"m={kind} {port} {draw(_PROFILES)} {' '.join(formats)}"
    return [first, *base, *draw(st.lists(_ATTRIBUTES, max_size=8))]


@st.composite
def offers(draw: st.DrawFn, most: int = 4) -> bytes:
    """An SDP with up to so many m-lines."""
    lines = draw(st.lists(_ATTRIBUTES, max_size=3))
    for media in draw(st.lists(_media(), min_size=1, max_size=most)):
        lines += media
    return bodies.sdp(*lines)
