"""The reference page of the focus, made from its method table: `mrfp schema --focus --markdown`."""

from __future__ import annotations

from typing import Any, Final

from control.focus.messages import FOCUS, REFUSAL_CODES, Refusal
from control.focus.settings import FocusSettings
from control.manual import Manual

_HEAD: Final = """\
# The protocol of the focus

<!-- Made by `mrfp schema --focus --markdown` from control/focus/. Do not edit: change those. -->

What an operator tells a running [focus](focus.md), beside the calls that come to it by SIP: JSON-RPC 2.0, one message
a line, over a Unix socket, by the same rules as [the mixer's protocol](control-api.md). `mrfp ctl focus`, `room` and
`call` speak it.

```
-> {"jsonrpc":"2.0","id":1,"method":"call.dial","params":{"uri":"sip:bob@192.0.2.7","room":"room"}}
<- {"jsonrpc":"2.0","id":1,"error":{"code":3003,"message":"486 Busy Here","data":{"refusal":"not_answered"}}}
```
"""
_ROOM: Final = {"room": "room"}
_EXAMPLES: Final[dict[str, dict[str, Any]]] = {
    "focus.info": {},
    "room.list": {},
    "room.show": _ROOM,
    "room.close": _ROOM,
    "call.dial": _ROOM | {"uri": "sip:bob@192.0.2.7"},
    "call.hangup": {"call": "bob.1f2e3d4c", "evict": True},
}
_REFUSALS: Final[dict[str, tuple[str, ...]]] = {
    "focus.info": (),
    "room.list": (),
    "room.show": ("unknown_room",),
    "room.close": ("unknown_room",),
    "call.dial": ("unknown_room", "not_answered", "limit", "mixer"),
    "call.hangup": ("unknown_call",),
}
_TEXTS: Final[dict[Refusal, str]] = {
    Refusal.UNKNOWN_ROOM: "There is no such room, and there can be none of that name.",
    Refusal.UNKNOWN_CALL: "There is no such call.",
    Refusal.NOT_ANSWERED: "Who was called would not come, or could not be reached; the message says why.",
    Refusal.LIMIT: "There are too many rooms or calls.",
    Refusal.MIXER: "The mixer would not, or cannot be reached.",
}
_MANUAL: Final = Manual(FOCUS, FocusSettings, _HEAD, _EXAMPLES, _REFUSALS, _TEXTS, REFUSAL_CODES)
schema_text, options, page = _MANUAL.schema_text, _MANUAL.options, _MANUAL.page
"""See `Manual`."""
