"""A GStreamer listener: udpsrc ! srtpdec ! codec ! file. Run by the distribution's Python, which has gi.

Takes one JSON object: port, recording and its rate, roc, caps of the RTP, `hears` (elements from RTP to raw sound), and
keys of {suite, secret, mki} in hex. Ends on SIGTERM; the last line it prints is JSON: `calls`, the SSRCs that a key was
asked for, and `streams`, srtpdec's own counts by SSRC.
"""

import json
import re
import signal
import sys
from typing import Any

import gi

gi.require_version("Gst", "1.0")
from gi.repository import GLib, Gst  # noqa: E402

CIPHERS = {
    "AES_CM_128_HMAC_SHA1_80": ("aes-128-icm", "hmac-sha1-80"),
    "AES_CM_128_HMAC_SHA1_32": ("aes-128-icm", "hmac-sha1-32"),
    "AES_256_CM_HMAC_SHA1_80": ("aes-256-icm", "hmac-sha1-80"),
    "AEAD_AES_128_GCM": ("aes-128-gcm", "null"),
    "AEAD_AES_256_GCM": ("aes-256-gcm", "null"),
}


def key_caps(plan: Any) -> str:
    """The caps that srtpdec wants of its `request-key` handler."""
    cipher, auth = CIPHERS[plan["keys"][0]["suite"]]
    rtcp_auth = auth.replace("32", "80")  # RFC 4568 section 6.2.2
    fields = [
        "application/x-srtp",
        f"srtp-cipher=(string){cipher}",
        f"srtp-auth=(string){auth}",
        f"srtcp-cipher=(string){cipher}",
        f"srtcp-auth=(string){rtcp_auth}",
        f"roc=(uint){plan['roc']}",
    ]
    for number, key in enumerate(plan["keys"], 1):
        suffix = "" if number == 1 else str(number)
        fields.append(f"srtp-key{suffix}=(buffer){key['secret']}")
        if key["mki"]:
            fields.append(f"mki{suffix}=(buffer){key['mki']}")
    return ", ".join(fields)


def streams_of(dec: Any) -> "dict[str, dict[str, int]]":
    """srtpdec's statistics, which gi cannot unwrap: read from their printed form."""
    printed = dec.get_property("stats").to_string().replace("\\", "")
    found: dict[str, dict[str, int]] = {}
    for block in re.findall(r"ssrc=\(uint\)\d+[^>;]*", printed):
        numbers = {name: int(value) for name, value in re.findall(r"([a-z-]+)=\(\w+\)(\d+)", block)}
        found[str(numbers.pop("ssrc"))] = numbers
    return found


def main() -> None:
    plan = json.loads(sys.argv[1])
    Gst.init(None)
    pipeline = Gst.parse_launch(
        f"udpsrc address=127.0.0.1 port={plan['port']} caps="
        f'"application/x-srtp, media=(string)audio, {plan["caps"]}" ! srtpdec name=dec ! {plan["hears"]}'
        f" ! audioconvert ! audioresample ! audio/x-raw,format=S16LE,channels=1,rate={plan['rate']}"
        f" ! filesink buffer-mode=unbuffered location={plan['recording']}"
    )
    dec = pipeline.get_by_name("dec")
    # Reports come on the same port; left unlinked, the first of them would stop the pipeline.
    reports = Gst.parse_bin_from_description("fakesink sync=false async=false", True)
    pipeline.add(reports)
    assert dec.link_pads("rtcp_src", reports, "sink")
    caps = Gst.Caps.from_string(key_caps(plan))
    calls: list[int] = []

    def request_key(_element: Any, ssrc: int) -> Any:
        calls.append(ssrc)
        return caps

    dec.connect("request-key", request_key)
    loop = GLib.MainLoop()
    GLib.unix_signal_add(GLib.PRIORITY_HIGH, signal.SIGTERM, loop.quit)
    pipeline.set_state(Gst.State.PLAYING)
    loop.run()
    result = {"calls": calls, "streams": streams_of(dec)}
    pipeline.set_state(Gst.State.NULL)
    print(json.dumps(result), flush=True)


if __name__ == "__main__":
    main()
