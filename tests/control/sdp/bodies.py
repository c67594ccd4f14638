"""SDP bodies in the manner of real clients, keys to put into them, and an end of our own."""

from __future__ import annotations

import base64
from typing import Final

from control.sdp.agreed import Local
from control.sdp.crypto import CryptoLine, InlineKey, suite_of
from control.sdp.model import Session, parse
from control.sdp.terms import Terms
from mixer.secret import Secret

CM_80: Final = "AES_CM_128_HMAC_SHA1_80"
PRINT = ":".join(f"{at:02X}" for at in range(32))


def octets(length: int, seed: int = 1) -> bytes:
    return bytes((seed * 31 + at * 7) % 256 for at in range(length))


def material(length: int = 30, seed: int = 1) -> str:
    """A key as it stands in an SDP."""
    return base64.b64encode(octets(length, seed)).decode()


def key(length: int = 30, seed: int = 100, mki: bytes = b"") -> InlineKey:
    return InlineKey(Secret(octets(length, seed)), None, mki)


def crypto(tag: int = 1, suite: str = CM_80, seed: int = 1, rest: str = "") -> str:
    return f"a=crypto:{tag} {suite} inline:{material(suite_of(suite).secret, seed)}{rest}"


def all_lines(terms: Terms) -> list[CryptoLine]:
    """A crypto line for each suite, with a key of its own."""
    return [
        CryptoLine(tag, suite, (key(suite_of(suite).secret, 100 + tag),)) for tag, suite in enumerate(terms.suites, 1)
    ]


def sdp(*media: str, connection: str = "IN IP4 192.0.2.1") -> bytes:
    """A session of these lines; those before the first m-line are of the session."""
    lines = ["v=0", "o=alice 1 1 IN IP4 192.0.2.1", "s=-", f"c={connection}", "t=0 0", *media]
    return "".join(f"{line}\r\n" for line in lines).encode()


def offer(*attributes: str, formats: str = "0", profile: str = "RTP/SAVP", port: int = 4000) -> Session:
    """One m-line of audio with an acceptable key, and what else is given."""
    return parse(sdp(f"m=audio {port} {profile} {formats}", crypto(), *attributes))


def local(*keys: InlineKey, host: str = "192.0.2.9", version: int = 1, fingerprint: bool = False) -> Local:
    return Local(
        host=host,
        port=30000,
        session_id=77,
        version=version,
        ssrc=0x01020304,
        cname="mix@example.net",
        keys=keys or (key(),),
        fingerprint=("sha-256", PRINT) if fingerprint else None,
    )


BARESIP = sdp(
    "m=audio 42068 RTP/SAVP 8 101",
    "a=rtpmap:8 PCMA/8000",
    "a=rtpmap:101 telephone-event/8000",
    "a=fmtp:101 0-15",
    "a=sendrecv",
    "a=label:1",
    "a=rtcp-rsize",
    "a=ssrc:856715241 cname:sip:u15060@127.0.0.1",
    crypto(),
    "a=minptime:20",
    "a=ptime:20",
    connection="IN IP4 127.0.0.1",
)

BARESIP_OPUS = (
    BARESIP.replace(b"SAVP 8 101", b"SAVP 96 101")
    .replace(b"a=rtpmap:8 PCMA/8000", b"a=rtpmap:96 opus/48000/2")
    .replace(b"a=sendrecv", b"a=fmtp:96 stereo=0;sprop-stereo=0;maxaveragebitrate=24000;useinbandfec=1\r\na=sendrecv")
)

BARESIP_DTLS = sdp(
    "a=setup:actpass",
    f"a=fingerprint:SHA-256 {PRINT}",
    "m=audio 42070 UDP/TLS/RTP/SAVPF 0",
    "a=rtpmap:0 PCMU/8000",
    "a=rtcp:42071",
    "a=sendrecv",
    connection="IN IP4 127.0.0.1",
)

LINPHONE = sdp(
    "m=audio 47000 RTP/SAVP 97 98 0 8 18 101 99 100",
    "a=rtpmap:97 speex/16000",
    "a=fmtp:97 vbr=on",
    "a=rtpmap:98 speex/8000",
    "a=fmtp:18 annexb=yes",
    "a=rtpmap:101 telephone-event/48000",
    "a=rtpmap:99 telephone-event/16000",
    "a=rtpmap:100 telephone-event/8000",
    crypto(1, CM_80, 1),
    crypto(2, "AES_CM_128_HMAC_SHA1_32", 2),
    crypto(3, "AES_256_CM_HMAC_SHA1_80", 3),
    "a=rtcp-fb:* trr-int 5000",
    "a=rtcp-fb:* ccm tmmbr",
    "m=video 0 RTP/SAVP 31",
)

FFMPEG = (
    b"v=0\no=- 0 0 IN IP4 127.0.0.1\ns=No Name\nc=IN IP4 127.0.0.1\nt=0 0\na=tool:libavformat LIBAVFORMAT_VERSION\n"
    b"m=audio 40000 RTP/SAVP 97\nb=AS:128\na=rtpmap:97 PCMA/8000/1\n" + crypto().encode() + b"\n"
)

CHROMIUM = sdp(
    "a=group:BUNDLE 0",
    "a=extmap-allow-mixed",
    "a=msid-semantic: WMS stream",
    "m=audio 9 UDP/TLS/RTP/SAVPF 111 63 9 0 8 13 110 126",
    "c=IN IP4 0.0.0.0",
    "a=rtcp:9 IN IP4 0.0.0.0",
    "a=candidate:691623107 1 udp 2122260223 127.0.0.1 34012 typ host generation 0 network-id 1",
    "a=ice-ufrag:abcd",
    "a=ice-pwd:abcdefghijklmnopqrstuvwx",
    "a=ice-options:trickle",
    f"a=fingerprint:sha-256 {PRINT}",
    "a=setup:actpass",
    "a=mid:0",
    "a=extmap:1 urn:ietf:params:rtp-hdrext:ssrc-audio-level",
    "a=extmap:2 http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time",
    "a=extmap:4 urn:ietf:params:rtp-hdrext:sdes:mid",
    "a=sendrecv",
    "a=msid:stream track",
    "a=rtcp-mux",
    "a=rtcp-rsize",
    "a=rtpmap:111 opus/48000/2",
    "a=rtcp-fb:111 transport-cc",
    "a=fmtp:111 minptime=10;useinbandfec=1",
    "a=rtpmap:63 red/48000/2",
    "a=fmtp:63 111/111",
    "a=rtpmap:9 G722/8000",
    "a=rtpmap:0 PCMU/8000",
    "a=rtpmap:8 PCMA/8000",
    "a=rtpmap:13 CN/8000",
    "a=rtpmap:110 telephone-event/48000",
    "a=rtpmap:126 telephone-event/8000",
    "a=ssrc:2342342 cname:abcdefgh",
    "a=ssrc:2342342 msid:stream track",
)
