"""The line protocol without a socket: whatever comes in, a line or nothing comes out."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from control import errors
from control.messages import EventName, Missed
from control.protocol import EVENTS, LINE_LIMIT, METHODS, REMEMBERED, Call, Session, notification
from mixer import port
from mixer.port import PortError, Refusal
from tests.control.conftest import request
from tests.control.fakes import fresh_key, spellings

ERROR_CODES = set(errors.PROTOCOL_ERRORS)


def outcome(session: Session, line: bytes) -> Any:
    """What a line leads to: a Call, None, or the decoded reply, which must be well formed."""
    heard = session.receive(line)
    if not isinstance(heard, bytes):
        return heard
    assert heard.endswith(b"\n")
    assert heard.count(b"\n") == 1
    reply = json.loads(heard)
    assert reply["jsonrpc"] == "2.0"
    assert ("result" in reply) != ("error" in reply)
    if "error" in reply:
        assert reply["error"]["code"] in ERROR_CODES
        assert isinstance(reply["error"]["message"], str)
    return reply


patient = settings(deadline=None)
"""A busy machine is no error."""

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
    max_leaves=12,
)
field_names = sorted({name for method in METHODS.values() for name in method.params.__struct_fields__})


@patient
@given(st.binary(max_size=400))
def test_any_octets(line: bytes) -> None:
    outcome(Session(), line)


@patient
@given(json_values)
def test_any_json(value: object) -> None:
    outcome(Session(), json.dumps(value).encode("utf-8", "surrogatepass"))


@patient
@given(
    st.sampled_from([*METHODS, "node.reboot", ""]),
    st.dictionaries(st.sampled_from([*field_names, "x"]), json_values, max_size=6) | json_values,
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=200),
    st.booleans(),
)
def test_any_request(method: str, params: object, number: object, notify: bool) -> None:
    session = Session()
    message: dict[str, object] = {"jsonrpc": "2.0", "method": method, "params": params}
    if not notify:
        message["id"] = number
    heard = outcome(session, json.dumps(message).encode())
    if isinstance(heard, Call):
        assert heard.method.name == method
    if heard is None:
        assert notify


@patient
@given(st.data())
def test_a_broken_request(data: st.DataObject) -> None:
    """Octets changed, cut out or put into good requests."""
    key = {"suite": "AEAD_AES_128_GCM", "secret": "A" * 38}
    line = bytearray(request("leg.add", 7, conference="room", leg="a", rx=key, remote="192.0.2.1:4000"))
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, len(line) - 1))
        line[place : place + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=3))
        if not line:
            break
    outcome(Session(), bytes(line))


@patient
@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 3)), max_size=40))
def test_no_request_is_run_twice(requests: list[tuple[int, int]]) -> None:
    session = Session()
    run: dict[int, int] = {}
    for number, content in requests:
        heard = outcome(session, request("conference.create", number, conference=f"c{content}"))
        if isinstance(heard, Call):
            assert number not in run
            run[number] = content
            session.reply(heard, port.Done())
        elif run[number] == content:
            assert heard["result"] == {}
        else:
            assert heard["error"]["code"] == errors.ID_REUSED


def test_a_refusal_is_remembered_too() -> None:
    session = Session()
    line = request("leg.remove", leg="a")
    call = session.receive(line)
    assert isinstance(call, Call)
    told = session.refuse(call, PortError(Refusal.UNKNOWN_LEG, "there is no leg a"))
    assert session.receive(line) == told


def test_memory_is_bounded() -> None:
    session = Session()
    for number in range(REMEMBERED + 1):
        call = session.receive(request("leg.remove", number, leg="a"))
        assert isinstance(call, Call)
        session.reply(call, port.Done())
    assert isinstance(session.receive(request("leg.remove", 0, leg="a")), Call)
    assert isinstance(session.receive(request("leg.remove", REMEMBERED, leg="a")), bytes)


def test_a_line_at_the_limit_and_one_beyond() -> None:
    line = request("node.info")
    padded = line + b" " * (LINE_LIMIT - len(line))
    assert isinstance(Session().receive(padded), Call)
    assert outcome(Session(), padded + b" ")["error"]["code"] == errors.LINE_TOO_LONG


def test_ids_keep_their_type() -> None:
    session = Session()
    assert isinstance(session.receive(request("node.info", 1)), Call)
    assert isinstance(session.receive(request("node.info", "1")), Call)
    assert outcome(session, b'{"jsonrpc":"2.0","id":true,"method":"node.info"}')["id"] is None


@pytest.mark.parametrize("where", ["suite", "mki", "colour", "conference", "method", "secret", "version"])
def test_an_error_never_repeats_what_might_be_a_key(where: str) -> None:
    """A key in the wrong place is still a key (I12)."""
    secret = fresh_key().secret
    for spelling in spellings(secret.reveal())[1:6]:
        text = spelling.decode()
        params: dict[str, object] = {"conference": "room", "key": {"secret": secret.to_base64()}}
        method = "conference.create"
        match where:
            case "suite" | "mki" | "secret":
                params["key"] = {"secret": "!" + text} | {where: "!" + text}
            case "colour":
                params[text] = 1
            case "conference":
                params["conference"] = text + " " * 9
            case "method":
                method = text
        line = request(method, 1, **params)
        if where == "version":
            line = line.replace(b'"2.0"', msgspec.json.encode(text))
        heard = Session().receive(line)
        assert isinstance(heard, bytes)
        assert b'"error"' in heard
        for part in (spelling, spelling[:20], spelling[-20:]):
            assert part not in heard


def test_no_reply_can_hold_a_key() -> None:
    session = Session()
    call = session.receive(request("node.info"))
    assert isinstance(call, Call)
    with pytest.raises(TypeError, match="never put into a reply"):
        session.reply(call, fresh_key())


def test_every_event_can_be_subscribed_to() -> None:
    assert set(EventName.__args__) == set(EVENTS)  # type: ignore[attr-defined]
    assert len(EVENTS) == len(port.Event.__subclasses__())


def test_notifications() -> None:
    assert json.loads(notification(Missed(count=3))) == {
        "jsonrpc": "2.0",
        "method": "events.missed",
        "params": {"count": 3},
    }


def test_every_command_of_the_mixer_has_a_method() -> None:
    taken = {method.params for method in METHODS.values()}
    assert set(port.Command.__args__) <= taken
