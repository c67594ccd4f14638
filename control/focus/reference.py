"""The reference page of the focus, made from its method table: `mrfp schema --focus --markdown`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from control import docstrings, reference
from control.focus.messages import FOCUS, METHODS, REFUSAL_CODES, Refusal
from control.focus.settings import FocusSettings


def schema_text() -> str:
    """The JSON Schema as text."""
    return reference.schema_text(FOCUS)


def options() -> str:
    """Every option of `focus.toml`, Markdown: a part of docs/focus.md."""
    return reference.options(FocusSettings)


def page() -> str:
    """The reference page, Markdown."""
    return "\n".join(_page()) + "\n"


def _page() -> Iterator[str]:
    yield _HEAD
    yield "## Methods\n"
    for method in METHODS.values():
        yield from reference.of_method(method, _EXAMPLES[method.name], _REFUSALS[method.name])
    yield "## Values\n"
    top = {kind for method in METHODS.values() for kind in (method.params, method.reply)}
    for kind in sorted(reference.structs_in(top) - top, key=lambda kind: kind.__name__):
        yield f"### {kind.__name__}\n"
        yield docstrings.summary(kind) + "\n"
        yield from reference.of_fields(kind)
    yield from reference.of_protocol_errors(FOCUS)
    yield from reference.of_refusals(FOCUS, {r.value: (code, _TEXTS[r]) for r, code in REFUSAL_CODES.items()})


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
