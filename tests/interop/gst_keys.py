"""A GStreamer telephone that presses keys: rtpdtmfsrc, its packets printed in hex. Run by the distribution's Python,
which has gi.

Takes event codes as arguments, presses one every half second for 150 ms, of which rtpdtmfsrc makes 250 or more, and
ends.
"""

import sys
from typing import Any

import gi

gi.require_version("Gst", "1.0")
from gi.repository import GLib, Gst  # noqa: E402

FIRST_MS = 500
EVERY_MS = 500


def main() -> None:
    Gst.init(None)
    pipeline = Gst.parse_launch(
        "rtpdtmfsrc clock-rate=8000 pt=101 packet-redundancy=3 ! fakesink name=sink sync=false signal-handoffs=true"
    )
    sink = pipeline.get_by_name("sink")
    packets: list[str] = []
    sink.connect("handoff", lambda _sink, packet, _pad: packets.append(packet.extract_dup(0, packet.get_size()).hex()))
    pipeline.set_state(Gst.State.PLAYING)

    def press(words: str) -> Any:
        structure = Gst.Structure.new_from_string(f"dtmf-event, type=(int)1, method=(int)1, {words}")
        sink.get_static_pad("sink").push_event(Gst.Event.new_custom(Gst.EventType.CUSTOM_UPSTREAM, structure))
        return GLib.SOURCE_REMOVE

    loop = GLib.MainLoop()
    for number, key in enumerate(sys.argv[1:]):
        begin_ms = FIRST_MS + number * EVERY_MS
        GLib.timeout_add(begin_ms, press, f"start=(boolean)true, number=(int){int(key)}, volume=(int)25")
        GLib.timeout_add(begin_ms + 150, press, "start=(boolean)false")
    GLib.timeout_add(FIRST_MS + len(sys.argv[1:]) * EVERY_MS + 300, loop.quit)
    loop.run()
    pipeline.set_state(Gst.State.NULL)
    print("\n".join(packets))


main()
