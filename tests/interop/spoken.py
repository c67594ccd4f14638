"""The codecs in the words of ffmpeg and of GStreamer. Must never know: the mixer's codecs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True)
class Spoken:
    """A codec with 20 ms in a packet.

    Attributes:
        rtpmap: encoding name, clock and channels as SDP has them.
        rate: Hz of its samples.
        fmtp: parameters in SDP.
        ffmpeg: its encoder, empty where ffmpeg has only a decoder.
        gst_says: elements from raw sound to RTP; gst_hears: and back.
    """

    payload_type: int
    rtpmap: str
    rate: int
    fmtp: str = ""
    ffmpeg: tuple[str, ...] = ()
    gst_says: str = ""
    gst_hears: str = ""

    def sdp(self) -> str:
        """The lines that describe it."""
        number = self.payload_type
        return f"a=rtpmap:{number} {self.rtpmap}\n" + (f"a=fmtp:{number} {self.fmtp}\n" if self.fmtp else "")

    def caps(self) -> str:
        """What GStreamer must be told of the RTP that comes."""
        name, clock = self.rtpmap.split("/")[:2]
        fields = f"clock-rate=(int){clock}, encoding-name=(string){name.upper()}, payload=(int){self.payload_type}"
        # GStreamer knows one channel as encoding-params=1, where SDP may leave it out.
        return fields + (", encoding-params=(string)1, octet-align=(string)1" if "AMR" in name else "")


_ALIGNED: Final = "octet-align=1"
"""Neither program reads the bandwidth-efficient way of RFC 4867."""

SPOKEN: Final = {
    "PCMU": Spoken(0, "PCMU/8000", 8000, "", ("pcm_mulaw",), "mulawenc ! rtppcmupay", "rtppcmudepay ! mulawdec"),
    "PCMA": Spoken(8, "PCMA/8000", 8000, "", ("pcm_alaw",), "alawenc ! rtppcmapay", "rtppcmadepay ! alawdec"),
    "L16": Spoken(96, "L16/16000/1", 16000, "", ("pcm_s16be",), "audioconvert ! rtpL16pay", "rtpL16depay"),
    "G722": Spoken(9, "G722/8000", 16000, "", ("g722",), "avenc_g722 ! rtpg722pay", "rtpg722depay ! avdec_g722"),
    "opus": Spoken(
        111,
        "opus/48000/2",
        48000,
        "useinbandfec=1",
        ("libopus", "-b:a", "64k", "-application", "voip", "-frame_duration", "20"),
        "opusenc bitrate=64000 frame-size=20 inband-fec=true packet-loss-percentage=10 ! rtpopuspay",
        "rtpopusdepay ! opusdec use-inband-fec=true",
    ),
    "AMR": Spoken(
        112, "AMR/8000/1", 8000, _ALIGNED, (), "amrnbenc band-mode=MR122 ! rtpamrpay", "rtpamrdepay ! amrnbdec"
    ),
    "AMR-WB": Spoken(
        113, "AMR-WB/16000/1", 16000, _ALIGNED, (), "voamrwbenc band-mode=8 ! rtpamrpay", "rtpamrdepay ! amrwbdec"
    ),
}
