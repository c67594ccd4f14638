"""I12 on the control side: no key octet in a reply, an event, an error, a log line or a page."""

from __future__ import annotations

import io
import logging

import pytest
import structlog

from control import logs
from control.errors import ControlError
from control.http import of_mixer
from control.messages import NodeAudit
from mixer import port
from mixer.secret import Secret
from tests.control.conftest import MakeHouse, request, until
from tests.control.fakes import fresh_key, spellings, talking


async def test_no_key_comes_out_anywhere(make_house: MakeHouse, log: io.StringIO) -> None:
    house = await make_house()
    keys = [fresh_key(suite) for suite in ("AES_CM_128_HMAC_SHA1_80", "AEAD_AES_256_GCM")]
    texts = [key.secret.to_base64() for key in keys]
    raw = await house.raw()
    await raw.ask(request("events.subscribe", 0))
    heard = bytearray()
    key = {"suite": "AES_CM_128_HMAC_SHA1_80", "secret": texts[0]}
    other = {"suite": "AEAD_AES_256_GCM", "secret": texts[1]}
    asked: list[tuple[str, dict[str, object]]] = [
        ("conference.create", {"conference": "room", "keying": "group", "key": key}),
        ("conference.create", {"conference": "room", "keying": "group", "key": key}),
        ("conference.create", {"conference": "r2", "key": key | {"suite": "AEAD_AES_256_GCM"}}),
        ("conference.create", {"conference": "r3", "key": key | {"colour": texts[0]}}),
        ("leg.add", {"conference": "room", "leg": "a", "rx": key, "tx": other}),
        ("leg.add", {"conference": "room", "leg": "a", "rx": key, "tx": other}),
        ("leg.add", {"conference": "room", "leg": "b", "rx": key | {"suite": texts[1]}}),
        ("key.prepare", {"conference": "room", "key": other | {"epoch": 2}}),
        ("key.prepare", {"conference": "gone", "key": other | {"epoch": 2}}),
        ("conference.show", {"conference": "room"}),
        ("node.audit", {}),
        ("node.info", {}),
        ("leg.remove", {"leg": "a"}),
    ]
    for number, (method, params) in enumerate(asked, start=1):
        raw.write(request(method, number, **params))
        heard += await raw.line()
    # A fault whose message names the command: its repr must be harmless.
    house.mixer.fault = RuntimeError(repr(house.mixer.conferences["room"]))
    raw.write(request("conference.list", 99))
    heard += await raw.line()
    house.mixer.emit(talking())
    heard += await raw.line()
    await until(lambda: "fault" in log.getvalue())
    written = log.getvalue().encode()
    assert b"conference.create" in written
    for key_ in keys:
        for spelling in spellings(key_.secret.reveal()):
            assert spelling not in heard
            assert spelling not in written


async def test_no_key_in_client_errors_or_reprs(make_house: MakeHouse) -> None:
    mixer = await (await make_house()).client()
    command = port.ConferenceCreate(conference="room", key=port.Key(secret=Secret(b"q" * 31)))
    with pytest.raises(ControlError) as refused:
        await mixer.call(command)
    shown = (repr(refused.value) + repr(command) + str(command) + f"{command}").encode()
    for spelling in spellings(b"q" * 31):
        assert spelling not in shown


def test_the_log_blanks_what_might_be_a_key(log: io.StringIO) -> None:
    key = fresh_key()
    text = key.secret.to_base64()
    structlog.get_logger().info(
        "hello",
        secret=text,
        rx=text,
        tx_key=text,
        command={"deep": [{"secret": text}]},
        struct=key,
        octets=key.secret.reveal(),
        epoch=3,
    )
    line = log.getvalue()
    assert '"epoch": 3' in line
    for spelling in spellings(key.secret.reveal()):
        assert spelling not in line.encode()


def test_the_standard_logging_goes_the_same_way(log: io.StringIO) -> None:
    logging.getLogger("asyncio").warning("from %s", "elsewhere")
    assert '"event": "from elsewhere"' in log.getvalue()


def test_tracebacks_show_no_variables() -> None:
    for style in ("json", "console"):
        stream = io.StringIO()
        logs.configure("info", style, stream)
        local = fresh_key().secret.to_base64()
        try:
            raise RuntimeError("oh")
        except RuntimeError:
            structlog.get_logger().exception("fault")
        structlog.reset_defaults()
        assert "RuntimeError: oh" in stream.getvalue()
        assert local not in stream.getvalue()
    logging.getLogger().handlers.clear()


async def test_metrics_and_audit_hold_no_key(make_house: MakeHouse) -> None:
    house = await make_house()
    key = fresh_key()
    mixer = await house.client()
    await mixer.call(port.ConferenceCreate(conference="room", keying="group", key=key))
    assert of_mixer(house.server.director)
    audit = repr(await mixer.call(NodeAudit())).encode()
    for spelling in spellings(key.secret.reveal()):
        assert spelling not in audit
