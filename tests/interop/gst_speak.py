"""A GStreamer talker: tone ! codec ! srtpenc ! udpsink. Run by the distribution's Python, which has gi.

Takes one JSON object: port, hertz, rate, `says` (elements from raw sound to RTP), pause_s (silence before the tone),
and key of {suite, secret, mki} in hex. Unlike `gst_send` it leaves the packets to GStreamer. Ends on SIGTERM.
"""

import json
import signal
import sys
from typing import Any

import gi

gi.require_version("Gst", "1.0")
from gi.repository import GLib, Gst  # noqa: E402
from gst_listen import CIPHERS  # noqa: E402

LOUD = 0.25
"""-12 dBFS."""
SILENT = 6e-7
"""127 dB below full scale, and nothing in 16 bits. Of exact zeros `level` 1.22 says 59: it cuts 315 to eight bits."""


def main() -> None:
    plan = json.loads(sys.argv[1])
    cipher, auth = CIPHERS[plan["key"]["suite"]]
    Gst.init(None)
    pipeline = Gst.parse_launch(
        f"audiotestsrc name=source is-live=true freq={plan['hertz']} volume={SILENT}"
        f" samplesperbuffer={plan['rate'] // 50}"
        f" ! audio/x-raw,format=F32LE,channels=1,rate={plan['rate']} ! level audio-level-meta=true post-messages=false"
        f" ! audioconvert dithering=none ! audio/x-raw,format=S16LE ! {plan['says']}"
        f" ! srtpenc name=enc key={plan['key']['secret']} rtp-cipher={cipher} rtp-auth={auth}"
        f" ! udpsink host=127.0.0.1 port={plan['port']} sync=false async=false"
    )
    if plan["key"]["mki"]:
        pipeline.get_by_name("enc").set_property("mki", Gst.Buffer.new_wrapped(bytes.fromhex(plan["key"]["mki"])))
    loop = GLib.MainLoop()

    def failed(_bus: Any, message: Any) -> None:
        print(message.parse_error(), flush=True)
        loop.quit()

    bus = pipeline.get_bus()
    bus.add_signal_watch()
    bus.connect("message::error", failed)
    GLib.timeout_add(round(1000 * plan["pause_s"]), pipeline.get_by_name("source").set_property, "volume", LOUD)
    GLib.unix_signal_add(GLib.PRIORITY_HIGH, signal.SIGTERM, loop.quit)
    pipeline.set_state(Gst.State.PLAYING)
    loop.run()
    pipeline.set_state(Gst.State.NULL)


if __name__ == "__main__":
    main()
