"""The KMS on the wire, without a socket: bad lines do nothing, and keys come out where they may and nowhere else."""

from __future__ import annotations

import json

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from control import errors
from control.kms.errors import REFUSAL_CODES, KmsError, Refusal
from control.kms.messages import KMS, METHODS, EpochKey
from control.protocol import MIXER, Call, Session
from mixer.secret import Secret
from tests.control.conftest import request

SECRET = bytes(range(32))
KEY = EpochKey(
    conference="room",
    cohort=0,
    epoch=1,
    suite="AES_CM_128_HMAC_SHA1_80",
    kind="secret",
    secret=Secret(SECRET),
    expires_in_s=600.0,
)


def call(session: Session, line: bytes) -> Call:
    heard = session.receive(line)
    assert isinstance(heard, Call)
    return heard


def test_a_key_comes_out_as_base64url() -> None:
    session = Session(KMS)
    line = session.reply(call(session, request("epoch.create", conference="room", epoch=1)), KEY)
    told = json.loads(line)["result"]
    assert told["secret"] == Secret(SECRET).to_base64()
    assert KMS.results["epoch.create"].decode(msgspec.json.encode(told)) == KEY


@pytest.mark.parametrize("name", sorted(set(METHODS) - {"epoch.create", "epoch.fetch"}))
def test_no_other_reply_can_hold_one(name: str) -> None:
    session = Session(KMS)
    with pytest.raises(TypeError, match="never put into a reply"):
        session.reply(Call(1, METHODS[name], METHODS[name].params(**needed(name)), b""), KEY)


def needed(name: str) -> dict[str, object]:
    values: dict[str, object] = {"conference": "room", "member": "a", "epoch": 1, "message": ""}
    return {field: values[field] for field in METHODS[name].params.__struct_fields__ if field in values}


def test_no_method_of_the_mixer_confides() -> None:
    assert not [method for method in MIXER.methods.values() if method.confides]


def test_a_reply_with_a_key_is_not_kept() -> None:
    session = Session(KMS)
    line = request("epoch.create", conference="room", epoch=1)
    session.reply(call(session, line), KEY)
    assert call(session, line).method.name == "epoch.create", "it is asked for again, and not remembered"
    other = session.receive(request("epoch.create", conference="room", epoch=2))
    assert isinstance(other, bytes)
    assert json.loads(other)["error"]["code"] == errors.ID_REUSED
    done = request("conference.close", 2, conference="room")
    told = session.refuse(call(session, done), KmsError(Refusal.LIMIT, "no"))
    assert session.receive(done) == told, "others are"


def test_a_refusal_says_when_to_come_back() -> None:
    session = Session(KMS)
    asked = call(session, request("epoch.create", conference="room", epoch=1))
    error = json.loads(session.refuse(asked, KmsError(Refusal.RATE_LIMITED, "wait", why="secret", retry_after_s=2.0)))
    assert error["error"] == {
        "code": 2007,
        "message": "wait",
        "data": {"refusal": "rate_limited", "retry_after_s": 2.0},
    }


def test_every_refusal_has_its_own_code() -> None:
    assert set(REFUSAL_CODES) == set(Refusal)
    codes = {*REFUSAL_CODES.values(), *errors.REFUSAL_CODES.values(), *errors.PROTOCOL_ERRORS}
    assert len(codes) == len(Refusal) + len(errors.REFUSAL_CODES) + len(errors.PROTOCOL_ERRORS)


@pytest.mark.parametrize(
    ("method", "params", "code"),
    [
        ("key.prepare", {}, errors.METHOD_NOT_FOUND),
        ("conference.register", {"conference": "two words"}, errors.INVALID_PARAMS),
        ("conference.register", {"conference": "room", "members": ["a", ""]}, errors.INVALID_PARAMS),
        ("conference.register", {"conference": "room", "members": ["a\n"]}, errors.INVALID_PARAMS),
        ("conference.register", {"conference": "room", "colour": "red"}, errors.INVALID_PARAMS),
        ("member.admit", {"conference": "room"}, errors.INVALID_PARAMS),
        ("epoch.create", {"conference": "room", "epoch": 0}, errors.INVALID_PARAMS),
        ("epoch.create", {"conference": "room", "epoch": 1 << 32}, errors.INVALID_PARAMS),
        ("epoch.create", {"conference": "room", "epoch": 1, "cohort": -1}, errors.INVALID_PARAMS),
        ("epoch.create", {"conference": "room", "epoch": 1, "suite": "ROT13"}, errors.INVALID_PARAMS),
        ("epoch.create", {"conference": "room", "epoch": 1, "secret": "AAAA"}, errors.INVALID_PARAMS),
        ("audit.tail", {"limit": 1001}, errors.INVALID_PARAMS),
        ("mikey.exchange", {"message": "A" * 60_001}, errors.INVALID_PARAMS),
    ],
)
def test_bad_requests_are_no_calls(method: str, params: dict[str, object], code: int) -> None:
    heard = Session(KMS).receive(request(method, 1, **params))
    assert isinstance(heard, bytes)
    assert json.loads(heard)["error"]["code"] == code


@settings(deadline=None)
@given(data=st.data(), method=st.sampled_from(sorted(METHODS)))
def test_any_damage_to_a_line(data: st.DataObject, method: str) -> None:
    line = bytearray(request(method, 7, **needed(method)))
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, len(line) - 1))
        line[place : place + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=3))
        if not line:
            break
    heard = Session(KMS).receive(bytes(line))
    if isinstance(heard, bytes):
        assert json.loads(heard)["error"]["code"] in errors.PROTOCOL_ERRORS
    elif heard is not None:
        assert isinstance(heard.params, heard.method.params)
