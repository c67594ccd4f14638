"""A leg in the words of ffmpeg, which has an SRTP of its own: with AES_CM_128, and without MKI.

Must never know: how keys are made, kept or taken from the command line.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from typing import Final

from control import keyfiles
from mixer import port

_SUITES: Final = {
    "AES_CM_128_HMAC_SHA1_80": "AES_CM_128_HMAC_SHA1_80",
    # By the name of RFC 4568 ffmpeg shortens the tag of SRTCP too, which that RFC does not.
    "AES_CM_128_HMAC_SHA1_32": "SRTP_AES128_CM_HMAC_SHA1_32",
}
MIXER: Final = "MIXER"
"""Stands for the mixer's address where that is not known."""


@dataclass(frozen=True)
class _Spoken:
    """A codec: its encoder, the rate of its samples in Hz, and its rtpmap."""

    encoder: str
    rate: int
    rtpmap: str


_CODECS: Final = {
    "PCMU": _Spoken("pcm_mulaw", 8000, "PCMU/8000"),
    "PCMA": _Spoken("pcm_alaw", 8000, "PCMA/8000"),
    "G722": _Spoken("g722", 16000, "G722/8000"),
    "opus": _Spoken("libopus -b:a 32k -application voip", 48000, "opus/48000/2"),
}


def speaking(key: port.Key, reply: port.LegAdded, codec: str, remote: str | None) -> str | None:
    """The command that speaks a file into a conference, in packets of 20 ms; None if ffmpeg can't.

    It sends from the port of `remote`, the leg's address: from another one the mixer would not know whose it is.
    """
    spoken = _CODECS.get(codec)
    if spoken is None or key.suite not in _SUITES or key.mki:
        return None
    options = f"rtcpport={reply.port}" + (f"&localport={remote.rpartition(':')[2]}" if remote else "")
    return (
        # In true pace: with -re the packets of a WAV file come in bursts of 256 ms.
        f"ffmpeg -nostdin -i speech.wav -af aresample={spoken.rate},asetnsamples={spoken.rate // 50},arealtime "
        f"-c:a {spoken.encoder} -ar {spoken.rate} -ac 1 -f rtp -payload_type {reply.payload_type} "
        f"-srtp_out_suite {_SUITES[key.suite]} -srtp_out_params {keyfiles.inline(key.secret)} "
        f"'srtp://{_mixer(remote)}:{reply.port}?{options}'"
    )


def listening(key: port.Key, reply: port.LegAdded, codec: str, remote: str) -> str | None:
    """The session description with which ffplay, at the leg's address, hears a conference; None if it can't."""
    spoken = _CODECS.get(codec)
    if spoken is None or key.suite not in _SUITES or key.mki:
        return None
    host, _, number = remote.rpartition(":")
    origin = f"IN {'IP6' if host.startswith('[') else 'IP4'} {host.strip('[]')}"
    return "\n".join(
        (
            "v=0",
            f"o=- 0 0 {origin}",
            "s=mrfp",
            f"c={origin}",
            "t=0 0",
            f"m=audio {number} RTP/SAVP {reply.payload_type}",
            f"a=rtpmap:{reply.payload_type} {spoken.rtpmap}",
            f"a=crypto:1 {_SUITES[key.suite]} inline:{keyfiles.inline(key.secret)}",
        )
    )


def _mixer(remote: str | None) -> str:
    """Where an endpoint reaches the mixer: on this machine, or somewhere that only the reader knows."""
    if remote is None:
        return "127.0.0.1"
    host = remote.rpartition(":")[0]
    return host if ipaddress.ip_address(host.strip("[]")).is_loopback else MIXER
