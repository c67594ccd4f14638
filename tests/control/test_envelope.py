"""The keys in commands: every one is found, wrapped for its place, and clear again for the mixer."""

from __future__ import annotations

from typing import Any, Final

import msgspec
import pytest
from msgspec import inspect

from control import envelope
from control.keywrap import KeyWrapError, Wrapper
from control.protocol import METHODS
from mixer import port
from mixer.secret import Secret
from tests.control.fakes import fresh_key

WRAPPER: Final = Wrapper("k1", Secret(bytes(range(32))))
KEKS: Final = {"k1": WRAPPER, "k2": Wrapper("k2", Secret(bytes(range(16))))}


def commands() -> list[msgspec.Struct]:
    """One of each that carries keys, with all it can carry."""
    return [
        port.ConferenceCreate(conference="room", key=fresh_key(mki="01"), uplink_key=fresh_key()),
        port.LegAdd(conference="room", leg="alice", rx=fresh_key(), tx=fresh_key("AEAD_AES_256_GCM")),
        port.KeyPrepare(conference="room", key=fresh_key(epoch=2)),
        port.KeyPrepare(conference="room", cohort=3, key=fresh_key(epoch=2)),
        port.KeyPrepare(conference="room", leg="alice", key=fresh_key(epoch=2)),
        port.KeyPrepare(conference="room", leg="alice", direction="rx", key=fresh_key(epoch=2)),
        port.KeyPrepare(conference="room", direction="rx", key=fresh_key(epoch=2)),
    ]


def keys_of(command: msgspec.Struct) -> dict[str, port.Key]:
    values = {name: getattr(command, name) for name in command.__struct_fields__}
    return {name: value for name, value in values.items() if isinstance(value, port.Key)}


def test_no_key_of_the_protocol_is_forgotten() -> None:
    """A field of type `Key` that somebody adds to a command wants a place, and a line in `commands`."""
    declared = {
        (method.params, field.name)
        for method in METHODS.values()
        for field in inspect.type_info(method.params).fields  # type: ignore[attr-defined]
        if any(getattr(kind, "cls", None) is port.Key for kind in getattr(field.type, "types", [field.type]))
    }
    assert declared == {(type(command), name) for command in commands() for name in keys_of(command)}
    assert len(declared) == 5


@pytest.mark.parametrize("command", commands(), ids=lambda command: type(command).__name__)
def test_there_and_back(command: msgspec.Struct) -> None:
    sealed = envelope.seal(command, WRAPPER, "b00t")
    assert envelope.has_keys(sealed)
    for name, key in keys_of(sealed).items():
        assert key.kek == "k1"
        assert key.secret != keys_of(command)[name].secret
        assert msgspec.structs.replace(key, secret=keys_of(command)[name].secret, kek="") == keys_of(command)[name]
    assert envelope.unseal(sealed, KEKS, "b00t", required=True) == command
    assert all(not key.kek for key in keys_of(command).values()), "what came in stays as it was"
    assert envelope.seal(sealed, KEKS["k2"], "b00t") == sealed, "wrapped already, by a KMS perhaps"


@pytest.mark.parametrize(
    ("to", "field", "changes"),
    [
        (0, "key", {"conference": "hall"}),
        (0, "uplink_key", {"conference": "hall"}),
        (1, "rx", {"conference": "hall"}),
        (1, "rx", {"leg": "bob"}),
        (1, "tx", {"leg": "bob"}),
        (2, "key", {"conference": "hall"}),
    ],
)
def test_not_for_others(to: int, field: str, changes: dict[str, Any]) -> None:
    command = commands()[to]
    kept = {name: key if name == field else None for name, key in keys_of(command).items()}
    sealed = envelope.seal(msgspec.structs.replace(command, **kept), WRAPPER, "b00t")
    with pytest.raises(KeyWrapError, match=f"^{field}: it does not unwrap"):
        envelope.unseal(msgspec.structs.replace(sealed, **changes), KEKS, "b00t", required=False)
    with pytest.raises(KeyWrapError, match=f"^{field}: it does not unwrap"):
        envelope.unseal(sealed, KEKS, "another life", required=False)


@pytest.mark.parametrize(
    "changes", [{"epoch": 9}, {"mki": "02"}, {"suite": "AES_CM_128_HMAC_SHA1_32"}, {"suite": "AEAD_AES_256_GCM"}]
)
def test_not_as_another_key(changes: dict[str, Any]) -> None:
    sealed = envelope.seal(port.KeyPrepare(conference="room", key=fresh_key(epoch=2, mki="01")), WRAPPER, "b")
    moved = msgspec.structs.replace(sealed, key=msgspec.structs.replace(sealed.key, **changes))
    with pytest.raises(KeyWrapError, match=r"^key: "):
        envelope.unseal(moved, KEKS, "b", required=False)


def test_no_key_takes_the_place_of_another() -> None:
    """What was wrapped for one direction does not unwrap in another."""
    leg = envelope.seal(port.LegAdd(conference="room", leg="alice", rx=fresh_key()), WRAPPER, "b")
    with pytest.raises(KeyWrapError, match=r"^tx: it does not unwrap"):
        envelope.unseal(msgspec.structs.replace(leg, rx=None, tx=leg.rx), KEKS, "b", required=False)
    room = envelope.seal(port.ConferenceCreate(conference="room", key=fresh_key()), WRAPPER, "b")
    with pytest.raises(KeyWrapError, match=r"^uplink_key: it does not unwrap"):
        envelope.unseal(msgspec.structs.replace(room, key=None, uplink_key=room.key), KEKS, "b", required=False)


def test_clear_keys_pass_unless_wrapping_is_required() -> None:
    for command in commands():
        assert envelope.unseal(command, {}, "b", required=False) == command
        with pytest.raises(KeyWrapError, match="takes wrapped keys only"):
            envelope.unseal(command, KEKS, "b", required=True)
    half = envelope.seal(port.LegAdd(conference="room", leg="a", rx=fresh_key()), WRAPPER, "b")
    half = msgspec.structs.replace(half, tx=fresh_key())
    with pytest.raises(KeyWrapError, match=r"^tx: this mixer takes wrapped keys only"):
        envelope.unseal(half, KEKS, "b", required=True)


def test_unknown_keks_are_told_from_known_ones_without_repeating_them() -> None:
    sealed = envelope.seal(commands()[2], Wrapper("k3", Secret(bytes(range(32)))), "b")
    with pytest.raises(KeyWrapError, match="no key-encryption key of that name; it has k1, k2") as refused:
        envelope.unseal(sealed, KEKS, "b", required=False)
    assert "k3" not in str(refused.value)
    with pytest.raises(KeyWrapError, match="no key-encryption keys: give it some with"):
        envelope.unseal(sealed, {}, "b", required=False)


def test_commands_without_keys_pass() -> None:
    for command in (port.LegModify(leg="alice"), port.LegAdd(conference="room", leg="a", clear=True)):
        assert not envelope.has_keys(command)
        assert envelope.seal(command, WRAPPER, "b") is command
        assert envelope.unseal(command, KEKS, "b", required=True) is command


def test_a_key_in_a_place_that_nobody_knows_is_not_let_through() -> None:
    class Novelty(msgspec.Struct):
        key: port.Key

    with pytest.raises(KeyWrapError, match=r"^key: a key in this place cannot be wrapped"):
        envelope.seal(Novelty(fresh_key()), WRAPPER, "b")
