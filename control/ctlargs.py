"""The words of `mrfp ctl`, made from the method table: a command for every method, an option for
every field, and help out of the fields' own documentation.

A field of type `Key` becomes a file option and the options around it; see `control.keyfiles`.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any, Final

import msgspec
from msgspec import inspect

from control import docstrings
from control.api import Method
from control.focus.messages import FOCUS
from control.protocol import METHODS
from mixer.suites import SUITES

KEY_FIELDS: Final[dict[str, str]] = {"key": "", "uplink_key": "uplink_", "rx": "rx_", "tx": "tx_"}
"""Fields that are keys, and what the names of their options begin with."""


def parser() -> argparse.ArgumentParser:
    """The parser of `mrfp ctl`. It yields `method` (a Method or a word of our own) and the fields."""
    common = _common()
    top = argparse.ArgumentParser(
        prog="mrfp ctl", description="Tell a running mixer or focus what to do.", parents=[common]
    )
    groups: dict[str, Any] = {}
    words = top.add_subparsers(required=True, metavar="WHAT")
    for method in (*METHODS.values(), *FOCUS.methods.values()):
        group, verb = method.name.split(".")
        if group == "events":
            continue
        if group not in groups:
            about = words.add_parser(group, help=_GROUPS[group], description=_GROUPS[group] + ".")
            groups[group] = about.add_subparsers(required=True, metavar="VERB")
        _add_method(groups[group], verb, method, common)
    _add_leg_show(groups["leg"], common)
    _add_events(words, common)
    return top


def fields(method: Method, options: argparse.Namespace) -> dict[str, Any]:
    """What the options say of a request, but for its keys."""
    return {
        name: getattr(options, name)
        for name in method.params.__struct_fields__
        if name not in KEY_FIELDS and getattr(options, name, None) is not None
    }


def key_fields(method: Method) -> list[str]:
    """The fields of a method that are keys."""
    return [name for name in method.params.__struct_fields__ if name in KEY_FIELDS]


def _common() -> argparse.ArgumentParser:
    common = argparse.ArgumentParser(add_help=False, argument_default=argparse.SUPPRESS)
    where = common.add_argument_group("where the mixer is")
    where.add_argument("--socket", metavar="ADDRESS", help="a path, unix:/path or tls://host:port")
    where.add_argument("--tls-certificate", type=Path, metavar="PEM", help="our certificate, for tls://")
    where.add_argument("--tls-key", type=Path, metavar="PEM", help="its private key")
    where.add_argument("--tls-authority", type=Path, metavar="PEM", help="whom to trust")
    keks = common.add_argument_group("wrap keys on their way to the mixer")
    keks.add_argument("--kek-file", type=Path, metavar="FILE", help="key-encryption keys, made by `mrfp kek`")
    keks.add_argument("--kek", metavar="NAME", help="which of them; not needed if there is one")
    common.add_argument("--json", action="store_true", help="print what the mixer says, as JSON")
    return common


def _add_method(verbs: Any, verb: str, method: Method, common: argparse.ArgumentParser) -> None:
    text = docstrings.summary(method.params)
    leaf = verbs.add_parser(verb, help=text.split(". ")[0].rstrip("."), description=text, parents=[common])
    leaf.set_defaults(method=method)
    described = docstrings.of_fields(method.params)
    info = inspect.type_info(method.params)
    assert isinstance(info, inspect.StructType)
    for field in info.fields:
        if field.name in KEY_FIELDS:
            _add_key(leaf, field.name, described.get(field.name, ""))
        else:
            _add_field(leaf, field, described.get(field.name))
    if key_fields(method):
        _add_key_making(leaf)


def _add_field(leaf: argparse.ArgumentParser, field: inspect.Field, text: str | None) -> None:
    shape = _shape(field.type)
    text = (text or "").replace("%", "%%")
    if field.required:
        leaf.add_argument(field.name, help=text, **_value(shape))
        return
    option = "--" + field.name.replace("_", "-")
    if field.default not in (None, ()) and not isinstance(shape, inspect.BoolType):
        text = f"{text} (default: {field.default})"
    if isinstance(shape, inspect.BoolType):
        leaf.add_argument(option, action=argparse.BooleanOptionalAction, help=text, default=None)
        return
    leaf.add_argument(option, help=text, **_value(shape))


def _add_key(leaf: argparse.ArgumentParser, field: str, text: str) -> None:
    prefix = KEY_FIELDS[field].replace("_", "-")
    group = leaf.add_argument_group(f"key: {field}", text.replace("%", "%%"))
    group.add_argument(f"--{prefix}key-file", metavar="FILE", help="file with its base64; - for stdin")
    group.add_argument(f"--{prefix}mki", metavar="HEX", help="master key identifier, 0 to 4 octets")
    if field in ("key", "uplink_key"):
        group.add_argument(f"--{prefix}epoch", type=int, metavar="N", help="above all earlier ones")
    if field == "key":
        group.add_argument("--max-age-s", type=float, metavar="X", help="destroy it so long after activation")
        group.add_argument("--max-packets", type=int, metavar="N", help="destroy it after so many packets")
    if field in ("uplink_key", "rx"):
        group.add_argument(f"--{prefix}roc", type=int, metavar="N", help="rollover counter it joins at")


def _add_key_making(leaf: argparse.ArgumentParser) -> None:
    group = leaf.add_argument_group("keys")
    group.add_argument("--suite", choices=list(SUITES), default="AES_CM_128_HMAC_SHA1_80")
    group.add_argument("--generate", action="store_true", help="make the keys that are missing")
    group.add_argument("--show-keys", action="store_true", help="print made keys, as SDP and for ffmpeg")
    group.add_argument("--save-keys", type=Path, metavar="DIR", help="keep made keys in files (0600)")


def _add_leg_show(verbs: Any, common: argparse.ArgumentParser) -> None:
    leaf = verbs.add_parser("show", help="Ask for the state of one leg", parents=[common])
    leaf.add_argument("leg")
    leaf.set_defaults(method="leg.show")


def _add_events(words: Any, common: argparse.ArgumentParser) -> None:
    subscribe = METHODS["events.subscribe"]
    names = inspect.type_info(subscribe.params).fields[0].type.item_type.values  # type: ignore[attr-defined]
    leaf = words.add_parser("events", help="print events as they come", parents=[common])
    leaf.add_argument("events", nargs="*", metavar="EVENT", help=f"some of {', '.join(names)}; all if none")
    leaf.add_argument("--conference", help=docstrings.of_fields(subscribe.params)["conference"])
    leaf.add_argument("--count", type=int, metavar="N", help="leave after so many")
    leaf.set_defaults(method=subscribe)


def _shape(kind: inspect.Type) -> inspect.Type:
    """The type of a field without its None."""
    if isinstance(kind, inspect.UnionType):
        members = [member for member in kind.types if not isinstance(member, inspect.NoneType)]
        literals = [member for member in members if isinstance(member, inspect.LiteralType)]
        if len(literals) > 1:  # numbers and words
            return inspect.LiteralType(tuple(value for member in literals for value in member.values))
        kind = members[0]
    return kind.type if isinstance(kind, inspect.Metadata) else kind


def _value(shape: inspect.Type) -> dict[str, Any]:
    if isinstance(shape, inspect.LiteralType):
        values = sorted(shape.values, key=lambda value: (str(type(value)), value))
        kinds = {type(value) for value in values}
        return {"choices": values, "type": kinds.pop() if len(kinds) == 1 else _number_or_word}
    if isinstance(shape, inspect.IntType):
        return {"type": int, "metavar": "N"}
    if isinstance(shape, inspect.FloatType):
        return {"type": float, "metavar": "X"}
    if isinstance(shape, inspect.BoolType):
        return {"type": _on_or_off, "metavar": "on|off"}
    if isinstance(shape, inspect.VarTupleType) and isinstance(shape.item_type, inspect.StructType):
        return {"type": _json, "nargs": "+", "metavar": "JSON"}
    if isinstance(shape, inspect.VarTupleType):
        return {"nargs": "+", "metavar": "NAME"}
    if isinstance(shape, inspect.StructType):
        return {"type": _json, "metavar": "JSON"}
    return {}


def _number_or_word(text: str) -> int | str:
    return int(text) if text.isdecimal() else text


def _json(text: str) -> object:
    try:
        return msgspec.json.decode(text)
    except msgspec.DecodeError as error:
        raise argparse.ArgumentTypeError(f"write it as JSON: {error}") from None


def _on_or_off(word: str) -> bool:
    if word not in ("on", "off"):
        raise argparse.ArgumentTypeError(f"say on or off, not {word}")
    return word == "on"


_GROUPS: Final = {
    "node": "The mixer itself",
    "conference": "Conferences",
    "leg": "Legs: the endpoints of a conference",
    "key": "Keys of a running conference",
    "play": "Files and tones, played to a conference or to some legs",
    "record": "Recordings of a conference or of one leg",
    "focus": "The conference focus (`mrfp focus`)",
    "room": "Rooms of the focus",
    "call": "Calls of the focus",
}
