"""A GStreamer sender: PCMA tone ! srtpenc ! udpsink. Run by the distribution's Python, which has gi.

Takes one JSON object: port, hertz, ssrc, sequence, roc, and key of {suite, secret, mki} in hex. The RTP
packets are made here and pushed into srtpenc, because that has no setting for its rollover counter:
packets of a rehearsal, which never leave, bring the counter to `roc` first. Ends on SIGTERM.
"""

import json
import math
import struct
import sys
import time
from typing import Any

import gi

gi.require_version("Gst", "1.0")
from gi.repository import Gst  # noqa: E402
from gst_listen import CIPHERS  # noqa: E402

LEAP = 0x6000
"""How far a sequence number may jump and still be followed (RFC 3711 appendix A)."""


def a_law(sample: int) -> int:
    """One 16-bit sample as ITU-T G.711 A-law."""
    sign, magnitude = (0x80, sample >> 3) if sample >= 0 else (0, (-sample - 1) >> 3)
    exponent = max(magnitude.bit_length() - 5, 0)
    mantissa = magnitude >> max(exponent, 1) & 0x0F
    return (sign | exponent << 4 | mantissa) ^ 0x55


def tone(hertz: int, first: int) -> bytes:
    """20 ms of a sine at -12 dBFS, from sample number `first` on."""
    step = 2 * math.pi * hertz / 8000
    return bytes(a_law(round(8192 * math.sin(step * n))) for n in range(first, first + 160))


def main() -> None:
    plan = json.loads(sys.argv[1])
    cipher, auth = CIPHERS[plan["key"]["suite"]]
    rtcp_auth = auth.replace("32", "80")
    Gst.init(None)
    pipeline = Gst.parse_launch(
        "appsrc name=src format=time is-live=true"
        ' caps="application/x-rtp, media=(string)audio, clock-rate=(int)8000, encoding-name=(string)PCMA,'
        f' payload=(int)8, ssrc=(uint){plan["ssrc"]}"'
        f" ! srtpenc name=enc key={plan['key']['secret']} rtp-cipher={cipher} rtp-auth={auth}"
        f" rtcp-cipher={cipher} rtcp-auth={rtcp_auth}"
        f" ! udpsink host=127.0.0.1 port={plan['port']} sync=false async=false"
    )
    source, enc = pipeline.get_by_name("src"), pipeline.get_by_name("enc")
    if plan["key"]["mki"]:
        enc.set_property("mki", Gst.Buffer.new_wrapped(bytes.fromhex(plan["key"]["mki"])))
    first = plan["roc"] << 16 | plan["sequence"]
    rehearsal = list(range(plan["sequence"], first, LEAP))
    left = [len(rehearsal)]

    def keep_back(_pad: Any, _info: Any) -> Any:
        left[0] -= 1
        return Gst.PadProbeReturn.DROP if left[0] >= 0 else Gst.PadProbeReturn.OK

    enc.get_static_pad("rtp_src_0").add_probe(Gst.PadProbeType.BUFFER, keep_back)
    pipeline.set_state(Gst.State.PLAYING)

    def push(index: int, timestamp: int, payload: bytes) -> None:
        header = struct.pack("!BBHII", 0x80, 8, index & 0xFFFF, timestamp & 0xFFFFFFFF, plan["ssrc"])
        source.emit("push-buffer", Gst.Buffer.new_wrapped(header + payload))

    for index in rehearsal:
        push(index, 0, bytes(160))

    start = time.monotonic()
    for n in range(3000):
        push(first + n, 160 * n, tone(plan["hertz"], 160 * n))
        time.sleep(max(0.0, start + 0.02 * (n + 1) - time.monotonic()))


if __name__ == "__main__":
    main()
