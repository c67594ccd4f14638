"""A wrapped key that reaches the engine is no key: control should have unwrapped it."""

from __future__ import annotations

import msgspec
import pytest

from mixer import port
from mixer.port import PortError, Refusal
from tests.mixer.room import Room


@pytest.mark.parametrize("field", ["key", "uplink_key", "rx", "tx", "prepare"])
def test_a_wrapped_key_is_refused_wherever_it_stands(field: str) -> None:
    room = Room()
    room.create("ssrc")

    def key(name: str) -> port.Key:
        made = room.key(name, epoch=9)
        return msgspec.structs.replace(made, kek="k1") if name == field else made

    command: port.Command
    if field in ("key", "uplink_key"):
        command = port.ConferenceCreate(conference="d", key=key("key"), uplink_key=key("uplink_key"))
    elif field == "prepare":
        command = port.KeyPrepare(conference="c", key=key("prepare"))
    else:
        command = port.LegAdd(conference="c", leg="a", keying="unique", rx=key("rx"), tx=key("tx"))
    before = room.show()
    with pytest.raises(PortError, match="still wrapped") as refused:
        room.apply(command)
    assert refused.value.refusal is Refusal.BAD_KEY
    assert room.show() == before
    assert room.engine_halls() == ["c"]
    room.engine.close()
