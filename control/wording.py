"""What to say about bad input without repeating it: it might be a key in the wrong place (I12).

msgspec names the field and what was expected, which is what people need; but for a wrong choice or an
unknown field it also quotes the input. Here the quotation gives way to the list of what is allowed.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Final

import msgspec
from msgspec import inspect

_PATH: Final = re.compile(r" - at `(\$[A-Za-z0-9_.\[\]]*)`$")
_PATTERN: Final = "matching regex"
_CHOICE: Final = re.compile(r"^Invalid (enum )?value ")
_UNKNOWN: Final = re.compile(r"^Object contains unknown field `(.*?)`( - at `.*)?$", re.DOTALL)
# No key fits: the shortest, 28 octets, is 38 characters of base64 and 56 of hex.
_HARMLESS: Final = re.compile(r"[a-z][a-z_.]{0,23}")


def name(text: str) -> str:
    """A name from outside, quoted if it looks like one, and else only called a name."""
    return f"`{text}`" if _HARMLESS.fullmatch(text) else "of that name"


def of(error: msgspec.ValidationError, kind: type[msgspec.Struct]) -> str:
    """What is wrong with an object that should have been a `kind`."""
    text = str(error)
    found = _PATH.search(text)
    path = found[1] if found else "$"
    where = f" - at `{path}`" if found else ""
    if _CHOICE.match(text):
        return f"Invalid value, expected {_choices(kind, path)}{where}"
    unknown = _UNKNOWN.match(text)
    if unknown:
        field = name(unknown[1]) if _HARMLESS.fullmatch(unknown[1]) else "(not shown)"
        return f"Object contains unknown field {field}{where}"
    return of_patterns(text, kind)


def of_patterns(text: str, kind: type[msgspec.Struct]) -> str:
    """A text of msgspec's, with what a pattern allows in the words that the type has for it."""
    if _PATTERN in text:
        for pattern, words in _patterns(inspect.type_info(kind)):
            text = text.replace(f"`str` {_PATTERN} {pattern!r}", words)
    return text


def of_syntax(error: Exception) -> str:
    """What is wrong with a line that is not JSON."""
    if isinstance(error, RecursionError):
        return "JSON is nested too deeply"
    if isinstance(error, UnicodeDecodeError):
        return "the line is not UTF-8"
    return str(error)


def _choices(kind: type[msgspec.Struct], path: str) -> str:
    """The values allowed at a path like `$.key.suite`, for people."""
    shape: inspect.Type = inspect.type_info(kind)
    for step in path.split(".")[1:]:
        struct = _alternative(shape, inspect.StructType)
        if not isinstance(struct, inspect.StructType):
            break
        fields = {field.encode_name: field.type for field in struct.fields}
        shape = fields.get(step.partition("[")[0], shape)
        if "[" in step and isinstance(shape, inspect.VarTupleType | inspect.ListType):
            shape = shape.item_type
    literal = _alternative(shape, inspect.LiteralType)
    if isinstance(literal, inspect.LiteralType):
        return "one of " + ", ".join(str(value) for value in literal.values)
    return "another"


def _patterns(shape: inspect.Type) -> Iterator[tuple[str, str]]:
    """All patterns in a type, each with its words."""
    parts: Iterable[inspect.Type] = ()
    match shape:
        case inspect.Metadata(type=inspect.StrType(pattern=str(pattern)), extra={"words": words}):
            yield pattern, words
        case inspect.Metadata():
            parts = (shape.type,)
        case inspect.StructType():
            parts = (field.type for field in shape.fields)
        case inspect.UnionType():
            parts = shape.types
        case inspect.DictType():
            parts = (shape.key_type, shape.value_type)
        case inspect.ListType() | inspect.VarTupleType():
            parts = (shape.item_type,)
    for part in parts:
        yield from _patterns(part)


def _alternative(shape: inspect.Type, kind: type[inspect.Type]) -> inspect.Type:
    """The member of a union that is of a kind, or the shape itself."""
    if isinstance(shape, inspect.UnionType):
        return next((member for member in shape.types if isinstance(member, kind)), shape)
    return shape
