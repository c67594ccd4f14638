"""The reference page and the schema say what the code does."""

from __future__ import annotations

import json
import re
from pathlib import Path

import msgspec
import pytest

from control import docstrings, reference
from control.__main__ import main
from control.protocol import EVENTS, METHODS, MIXER
from mixer import port

DOCS = Path(__file__).parents[2] / "docs"
PAGE = DOCS / "control-api.md"
MANUAL = DOCS / "operations.md"


def test_the_committed_page_is_current() -> None:
    assert PAGE.read_text() == reference.page(), "run: mrfp schema --markdown > docs/control-api.md"


def test_the_options_in_the_manual_are_current() -> None:
    assert reference.options() in MANUAL.read_text(), "put in the output of: mrfp schema --options"


def test_every_method_and_event_is_there() -> None:
    page = reference.page()
    for name in [*METHODS, *(f"events.{event}" for event in EVENTS)]:
        assert f"### {name}\n" in page
    assert "base64url: 30 octets for AES_CM_128" in page


def test_every_method_says_what_it_does() -> None:
    for method in METHODS.values():
        assert docstrings.summary(method.params)
        assert docstrings.summary(method.reply)


def test_every_example_is_a_request() -> None:
    """Once keys stand where it says that they belong."""
    page = reference.page().replace("<40 letters of base64url>", "A" * 40)
    examples = [json.loads(line) for line in re.findall(r"```json\n(.*?)\n```", page)]
    assert [example["method"] for example in examples] == list(METHODS)
    for example in examples:
        MIXER.params[example["method"]].decode(json.dumps(example["params"]))


def test_what_names_something_may_be_refused() -> None:
    for name, section in re.findall(r"^### ([a-z]+\.[a-z]+)\n(.*?)```json", reference.page(), re.MULTILINE | re.DOTALL):
        required = any(field.required for field in msgspec.structs.fields(METHODS[name].params))
        assert required == ("**Refused with**" in section), name


def test_fields_are_documented_from_the_source() -> None:
    assert docstrings.of_fields(port.LegAdd)["leg"] == "Unique in the whole mixer."
    assert "roc" in docstrings.of_fields(port.Key)


def test_the_schema(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["schema"]) == 0
    schema = json.loads(capsys.readouterr().out)
    assert set(schema["methods"]) == set(METHODS)
    secret = schema["$defs"]["Key"]["properties"]["secret"]
    assert secret["writeOnly"]
    assert "base64url" in secret["description"]
    assert schema["$defs"]["LegAdd"]["additionalProperties"] is False
    text = json.dumps(schema)
    for part in text.split('"#/$defs/')[1:]:
        assert part.partition('"')[0] in schema["$defs"]


def test_the_page_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["schema", "--markdown"]) == 0
    assert capsys.readouterr().out == reference.page()
