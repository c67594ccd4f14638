"""The reference page and the JSON Schema of the control protocol, made from the method table.

`docs/control-api.md` is this page, committed; a test holds it to the code. `mrfp schema` prints the
schema, `mrfp schema --markdown` the page, and `mrfp schema --options` the options of `mrfp.toml`. The
KMS has a page of its own, `control.kms.reference`, of the same parts.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final, get_origin

import msgspec
from msgspec import inspect

from control import docstrings
from control.api import Api, Method
from control.errors import PROTOCOL_ERRORS, REFUSAL_CODES
from control.messages import Missed
from control.protocol import EVENTS, LINE_LIMIT, METHODS, MISSED, MIXER, REMEMBERED
from control.settings import Settings
from mixer import port
from mixer.secret import Secret


def schema(api: Api = MIXER) -> dict[str, Any]:
    """JSON Schema (2020-12) of all params, replies and notifications, and which method has which."""
    notes = {f"events.{name}": event for name, event in EVENTS.items()} | {MISSED: Missed} if api is MIXER else {}
    kinds = [kind for method in api.methods.values() for kind in (method.params, method.reply)]
    refs, definitions = msgspec.json.schema_components(
        [*kinds, *notes.values()],
        schema_hook=_secret_never_read if api is MIXER else _secret_schema,
        ref_template="#/$defs/{name}",
    )
    for kind in structs_in({*kinds, *notes.values()}):
        described = docstrings.of_fields(kind)
        for name, text in described.items():
            properties = definitions.get(kind.__name__, {}).get("properties", {})
            if name in properties:
                properties[name]["description"] = text
    methods = {name: {"params": refs[2 * i], "result": refs[2 * i + 1]} for i, name in enumerate(api.methods)}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": f"mrfp {'control' if api is MIXER else api.noun} protocol",
        "methods": methods,
        "notifications": dict(zip(notes, refs[2 * len(api.methods) :], strict=True)),
        "$defs": definitions,
    }


def schema_text(api: Api = MIXER) -> str:
    """The schema as JSON text."""
    return json.dumps(schema(api), indent=2) + "\n"


def page() -> str:
    """The reference page, Markdown."""
    return "\n".join(_page()) + "\n"


def options(settings: type[msgspec.Struct] = Settings) -> str:
    """Every option of `mrfp.toml`, Markdown: a part of docs/operations.md. Or of another file."""
    lines: list[str] = []
    for section in msgspec.structs.fields(settings):
        if get_origin(section.type) is dict:  # of tables that another one describes
            continue
        lines += [f"### [{section.name}]\n", docstrings.summary(section.type) + "\n", *of_fields(section.type)]
    sections = {section.type for section in msgspec.structs.fields(settings) if get_origin(section.type) is not dict}
    for kind in sorted(structs_in(sections) - sections, key=lambda kind: kind.__name__):
        lines += [f"### {kind.__name__}\n", docstrings.summary(kind) + "\n", *of_fields(kind)]
    return "\n".join(lines)


def _page() -> Iterator[str]:
    yield _HEAD
    yield "## Methods\n"
    for method in METHODS.values():
        yield from of_method(method, _EXAMPLES.get(method.name, {}), _REFUSALS.get(method.name, ()))
    yield "## Notifications\n"
    yield "Sent on a connection after `events.subscribe`. None has an `id`, and none wants an answer.\n"
    for name, event in EVENTS.items():
        yield f"### events.{name}\n"
        yield docstrings.summary(event) + "\n"
        yield from of_fields(event)
    yield f"### {MISSED}\n"
    yield docstrings.summary(Missed) + "\n"
    yield from of_fields(Missed)
    yield "## Values\n"
    top = {kind for method in METHODS.values() for kind in (method.params, method.reply)}
    top |= {*EVENTS.values(), Missed}
    for kind in sorted(within(top), key=lambda kind: kind.__name__):
        yield f"### {kind.__name__}\n"
        yield docstrings.summary(kind) + "\n"
        yield from of_fields(kind)
    yield from of_protocol_errors(MIXER)
    texts = {refusal.value: (code, _REFUSAL_TEXTS[refusal.name]) for refusal, code in REFUSAL_CODES.items()}
    yield from of_refusals(MIXER, texts)


def of_method(method: Method, example: Mapping[str, Any], refusals: tuple[str, ...]) -> Iterator[str]:
    """The section of one method; `example` is params of it."""
    yield f"### {method.name}\n"
    yield docstrings.summary(method.params) + "\n"
    yield from of_fields(method.params)
    reply = docstrings.summary(method.reply)
    yield f"**Reply** `{method.reply.__name__}`: {reply}\n"
    if method.reply is not port.Done:
        yield from of_fields(method.reply)
    if refusals:
        yield "**Refused with** " + ", ".join(f"`{refusal}`" for refusal in refusals) + "\n"
    request = {"jsonrpc": "2.0", "id": 1, "method": method.name, "params": example}
    yield f"```json\n{json.dumps(request)}\n```\n"


def of_fields(kind: type[msgspec.Struct]) -> Iterator[str]:
    """The table of a struct's fields."""
    info = inspect.type_info(kind)
    assert isinstance(info, inspect.StructType)
    if not info.fields:
        return
    described = docstrings.of_fields(kind)
    yield "| field | type | default | |"
    yield "|---|---|---|---|"
    for field in info.fields:
        text = described.get(field.name, "").replace("|", "\\|").replace("\n\n", " ")
        yield f"| `{field.name}` | {_type(field.type)} | {_default(field)} | {text} |"
    yield ""


def _default(field: inspect.Field) -> str:
    if field.required:
        return "required"
    if field.default_factory is not msgspec.NODEFAULT:
        return f"`{json.dumps(field.default_factory())}`"
    if isinstance(field.default, msgspec.Struct):
        return ""
    return "" if field.default is None else f"`{json.dumps(field.default)}`"


def _type(kind: inspect.Type) -> str:  # noqa: C901 - a table, one line a type
    """A type in the words of JSON, with its bounds."""
    match kind:
        case inspect.Metadata():
            return _type(kind.type)
        case inspect.UnionType():
            return " or ".join(_type(member) for member in kind.types if not isinstance(member, inspect.NoneType))
        case inspect.LiteralType():
            order = sorted(kind.values, key=lambda value: (isinstance(value, str), value))
            return ", ".join(f"`{json.dumps(value)}`" for value in order)
        case inspect.StructType():
            return f"[{kind.cls.__name__}](#{kind.cls.__name__.lower()})"
        case inspect.CustomType() if kind.cls is Secret:
            return "base64url"
        case inspect.ListType() | inspect.VarTupleType():
            return f"list of {_type(kind.item_type)}"
        case inspect.TupleType():
            return "list: " + "; ".join(_type(item) for item in kind.item_types)
        case inspect.DictType():
            return f"object of {_type(kind.value_type)}"
        case inspect.IntType() | inspect.FloatType():
            return ("integer" if isinstance(kind, inspect.IntType) else "number") + _bounds(kind)
        case inspect.StrType():
            return "string" + (f" `{kind.pattern}`".replace("|", "\\|") if kind.pattern else "")
        case inspect.BoolType():
            return "boolean"
    raise AssertionError(f"a type that the page has no word for: {kind}")


def _bounds(kind: inspect.IntType | inspect.FloatType) -> str:
    low, high = kind.ge, kind.le
    if low is not None and high is not None:
        return f", {low:g} to {high}"
    if high is not None:
        above = "" if kind.gt is None else f"above {kind.gt:g}, "
        return f", {above}at most {high:g}"
    return "" if low is None else f", at least {low}"


def of_protocol_errors(api: Api) -> Iterator[str]:
    """The codes that every service has, in the words of one."""
    yield "## Errors\n"
    yield "Codes of the protocol:\n"
    yield "| code | |"
    yield "|---|---|"
    for code, text in PROTOCOL_ERRORS.items():
        yield f"| {code} | {text.replace('control this mixer', api.use).replace('mixer', api.noun)} |"


def of_refusals(api: Api, texts: Mapping[str, tuple[int, str]]) -> Iterator[str]:
    """The refusals of one service, each with its code and what it means."""
    yield f"\nRefusals of the {api.noun}; the name stands in `error.data.refusal`, and nothing has changed:\n"
    yield "| code | refusal | |"
    yield "|---|---|---|"
    for refusal, (code, text) in texts.items():
        yield f"| {code} | `{refusal}` | {text} |"


def structs_in(kinds: set[type[msgspec.Struct]]) -> set[type[msgspec.Struct]]:
    """These, and every struct that can appear within one."""
    found: set[type[msgspec.Struct]] = set()
    for kind in kinds:
        _walk(inspect.type_info(kind), found)
    return found


def within(kinds: set[type[msgspec.Struct]]) -> set[type[msgspec.Struct]]:
    """Every struct that is part of another: a field's type, which the page must tell of in a place of its own."""
    parts = [structs_in({kind}) - {kind} for kind in structs_in(kinds)]
    return set().union(*parts)


def _secret_schema(kind: type) -> dict[str, Any]:
    if kind is Secret:
        return {"type": "string", "contentEncoding": "base64"}
    raise NotImplementedError


def _secret_never_read(kind: type) -> dict[str, Any]:
    return _secret_schema(kind) | {"writeOnly": True}


def _walk(kind: inspect.Type, found: set[type[msgspec.Struct]]) -> None:
    match kind:
        case inspect.StructType():
            found.add(kind.cls)
            for field in kind.fields:
                _walk(field.type, found)
        case inspect.UnionType():
            for member in kind.types:
                _walk(member, found)
        case inspect.ListType() | inspect.VarTupleType():
            _walk(kind.item_type, found)
        case inspect.Metadata():
            _walk(kind.type, found)


_HEAD: Final = f"""\
# The control protocol

<!-- Made by `mrfp schema --markdown` from mixer/port/ and control/. Do not edit: change those. -->

JSON-RPC 2.0, one message a line (NDJSON, UTF-8), over a Unix socket or over TCP with mutual TLS 1.3;
[operations](operations.md) says where. `mrfp ctl` speaks it for people, `control.client.MixerClient` for
Python programs; `mrfp schema` prints its JSON Schema.

- A request is one line of at most {LINE_LIMIT} octets. Its `id` is a string or an integer. Unknown fields are
  errors, at every depth. Batches are refused; requests may be pipelined, and are run in order.
- **Idempotent by id.** The last {REMEMBERED} ids of a connection are remembered. The same request under the
  same id gets the same reply and is not run again (a query is: it changes nothing); another request under a
  used id is an error. Give every request an id of its own.
- A notification (a request without `id`) is ignored: nothing is done that cannot be answered.
- A client that does not read its replies is not served further, and after a while disconnected. A
  subscriber that is slow to read loses its oldest events, and is told how many (`{MISSED}`).
- When a controller goes away, conferences go on. It comes back, asks `node.audit`, and compares; a new
  `boot_id` means that the mixer was restarted and all of it is gone.
- Keys are base64url of key || salt. They are never readable back: no reply, event, error or log has one.

```
-> {{"jsonrpc":"2.0","id":1,"method":"conference.create","params":{{"conference":"room"}}}}
<- {{"jsonrpc":"2.0","id":1,"result":{{}}}}
-> {{"jsonrpc":"2.0","id":2,"method":"leg.remove","params":{{"leg":"bob"}}}}
<- {{"jsonrpc":"2.0","id":2,"error":{{"code":1002,"message":"...","data":{{"refusal":"unknown_leg"}}}}}}
```
"""
_KEY: Final = {"suite": "AES_CM_128_HMAC_SHA1_80", "secret": "<40 letters of base64url>"}
_EXAMPLES: Final[dict[str, dict[str, Any]]] = {
    "conference.create": {"conference": "room", "keying": "group", "key": _KEY | {"epoch": 1}},
    "conference.modify": {"conference": "room", "max_talkers": 4},
    "conference.destroy": {"conference": "room"},
    "conference.show": {"conference": "room"},
    "leg.add": {"conference": "room", "leg": "alice", "remote": "192.0.2.1:4000", "rx": _KEY},
    "leg.modify": {"leg": "alice", "mute": True},
    "leg.remove": {"leg": "alice"},
    "leg.dial": {"leg": "alice", "digits": "12#"},
    "key.prepare": {"conference": "room", "key": _KEY | {"epoch": 2}},
    "key.activate": {"conference": "room", "epoch": 2},
    "key.retire": {"conference": "room", "epoch": 2},
    "key.abort": {"conference": "room", "epoch": 3},
    "key.bridge": {"conference": "room", "legs": ["bob"], "on": True},
    "conference.levels": {"conference": "room"},
    "play.start": {"play": "welcome", "conference": "room", "file": "welcome.wav", "duck_db": 12.0},
    "play.stop": {"play": "welcome"},
    "record.start": {"record": "minutes", "conference": "room", "file": "minutes.mka", "format": "opus"},
    "record.stop": {"record": "minutes"},
    "events.subscribe": {"events": ["talking", "key_expiring"], "conference": "room"},
}
_REFUSALS: Final[dict[str, tuple[str, ...]]] = {
    "conference.create": (
        "duplicate_conference",
        "bad_key",
        "key_reused",
        "key_missing",
        "bad_boot",
        "invalid",
        "limit",
        "draining",
    ),
    "conference.modify": ("unknown_conference", "key_missing"),
    "conference.destroy": ("unknown_conference",),
    "conference.show": ("unknown_conference",),
    "leg.add": (
        "unavailable",
        "unknown_conference",
        "duplicate_leg",
        "bad_key",
        "key_reused",
        "key_missing",
        "bad_boot",
        "ssrc_conflict",
        "invalid",
        "limit",
        "draining",
    ),
    "leg.modify": ("unknown_leg", "key_missing", "invalid"),
    "leg.remove": ("unknown_leg",),
    "leg.dial": ("unknown_leg", "key_missing", "invalid"),
    "key.prepare": (
        "unknown_conference",
        "unknown_leg",
        "bad_key",
        "key_reused",
        "key_missing",
        "bad_epoch",
        "bad_boot",
        "invalid",
        "limit",
        "draining",
    ),
    "key.activate": ("unknown_conference", "unknown_leg", "unknown_epoch", "invalid"),
    "key.retire": ("unknown_conference", "unknown_leg", "unknown_epoch", "invalid"),
    "key.abort": ("unknown_conference", "unknown_leg", "unknown_epoch", "invalid"),
    "key.bridge": ("unknown_conference", "unknown_leg", "key_missing", "invalid"),
    "conference.levels": ("unknown_conference",),
    "play.start": (
        "unknown_conference",
        "unknown_leg",
        "duplicate_play",
        "key_missing",
        "bad_file",
        "invalid",
        "limit",
    ),
    "play.stop": ("unknown_play",),
    "record.start": ("unknown_conference", "unknown_leg", "duplicate_record", "bad_file", "invalid", "limit"),
    "record.stop": ("unknown_record",),
}
_REFUSAL_TEXTS: Final = {
    "UNKNOWN_CONFERENCE": "There is no conference of that name.",
    "UNKNOWN_LEG": "There is no leg of that name.",
    "UNKNOWN_EPOCH": "No key of that epoch is prepared.",
    "DUPLICATE_CONFERENCE": "A conference of that name exists.",
    "DUPLICATE_LEG": "A leg of that name exists, in this conference or in another.",
    "BAD_KEY": "Wrong length for the suite, all octets alike, or wrapped so that it does not unwrap here.",
    "KEY_REUSED": "The mixer has already sent under this key; it needs a fresh one.",
    "KEY_MISSING": "A key is needed here, or `clear` in so many words.",
    "BAD_EPOCH": "Not above every epoch this conference has seen, or too many prepared at once.",
    "BAD_BOOT": "Meant for an earlier life of this mixer.",
    "SSRC_CONFLICT": "The SSRC belongs to another.",
    "UNAVAILABLE": "What it needs is not installed on the mixer's machine; the message says what.",
    "INVALID": "Fields that exclude each other; the message says which.",
    "LIMIT": "The mixer is full.",
    "DRAINING": "The mixer takes nothing new.",
    "UNKNOWN_PLAY": "Nothing of that name is playing.",
    "DUPLICATE_PLAY": "Something of that name is playing.",
    "UNKNOWN_RECORD": "Nothing of that name is being recorded.",
    "DUPLICATE_RECORD": "Something of that name is being recorded, or its file is not complete yet.",
    "BAD_FILE": "Not there, not audio, there already, or not in the directory for it; the message says which.",
}
