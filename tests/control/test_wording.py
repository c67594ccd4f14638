"""What is said of bad input: what is allowed, in words, and never a pattern."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from control import wording
from control.focus import settings
from control.focus.messages import METHODS as FOCUS
from control.focus.messages import CallDial
from control.kms.messages import METHODS as KMS
from control.protocol import METHODS as MIXER
from control.tomlfile import SettingsError
from mixer import port

METHODS = [method for api in (MIXER, KMS, FOCUS) for method in api.values()]
REQUESTS = sorted({method.params for method in METHODS}, key=lambda kind: kind.__name__)


def said_of(kind: type[msgspec.Struct], **fields: Any) -> str:
    with pytest.raises(msgspec.ValidationError) as refused:
        msgspec.convert(fields, kind)
    return wording.of(refused.value, kind)


def patterns_in(schema: object) -> Iterator[str]:
    """Of a JSON Schema, at any depth."""
    if isinstance(schema, dict):
        for name, part in schema.items():
            if name == "pattern" and isinstance(part, str):
                yield part
            yield from patterns_in(part)
    elif isinstance(schema, list | tuple):
        for part in schema:
            yield from patterns_in(part)


@pytest.mark.parametrize("kind", REQUESTS, ids=lambda kind: kind.__name__)
def test_every_pattern_has_words(kind: type[msgspec.Struct]) -> None:
    schema = msgspec.json.schema(kind, schema_hook=lambda _: {"type": "string"})
    for pattern in patterns_in(schema):
        said = wording.of_patterns(f"Expected `str` matching regex {pattern!r} - at `$.x`", kind)
        assert re.fullmatch(r"Expected [^^$\\]+ - at `\$\.x`", said), pattern


def test_a_uri_and_a_room_that_cannot_be_are_told_what_can() -> None:
    assert "a SIP URI, as in sip:ann@example.net" in said_of(CallDial, uri="tel:+4930123", room="room")
    assert said_of(CallDial, uri="sip:ann@example.net", room="a b").endswith("without spaces - at `$.room`")


def test_within_a_list_and_within_an_object() -> None:
    assert said_of(port.KeyBridge, conference="c", on=True, legs=["ann", "b b"]).endswith("spaces - at `$.legs[1]`")
    wish = {"fingerprints": [{"value": "nonsense"}]}
    assert "hex digits" in said_of(port.LegAdd, conference="c", leg="ann", dtls=wish)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('[room."a b"]\nsubject = "x"\n', r"\[room.NAME\] NAME: Expected 1 to 64 characters"),
        ("[room.x]\nmax_talkers = 99\n", r"\[room.NAME\] max_talkers: Expected `int` <= 15"),
    ],
)
def test_a_file_with_a_room_that_cannot_be(text: str, says: str) -> None:
    with pytest.raises(SettingsError, match=says) as refused:
        settings.parse(text)
    assert "regex" not in str(refused.value)
