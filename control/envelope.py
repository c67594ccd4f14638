"""The keys in a command: each wrapped before it is sent, and unwrapped before the mixer sees it.

Knows: which field of which command is a key, and whom it is for. Must never know: how wrapping works,
or where commands come from. A field that has no place here can be neither wrapped nor unwrapped.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TypeVar

import msgspec

from control.keywrap import Direction, KeyWrapError, Wrapper, context
from mixer import port

C = TypeVar("C", bound=msgspec.Struct)
"""A command goes in, and the same command comes out."""


def seal(command: C, wrapper: Wrapper, boot: str) -> C:
    """The command with every key wrapped, for one life of one mixer. Keys wrapped already stay as they are.

    Raises:
        KeyWrapError: if a key cannot be wrapped; the message names its field.
    """

    def wrapped(key: port.Key, place: bytes) -> port.Key:
        if key.kek:
            return key
        return msgspec.structs.replace(key, secret=wrapper.wrap(key.secret, key.suite, place), kek=wrapper.name)

    return _with_keys(command, boot, wrapped)


def unseal(command: C, wrappers: Mapping[str, Wrapper], boot: str, *, required: bool) -> C:
    """The command with every key in clear, as the mixer takes it.

    Args:
        wrappers: the key-encryption keys known here, by name.
        boot: `boot_id` of this life of the mixer.
        required: refuse keys that came in clear.

    Raises:
        KeyWrapError: if a key cannot be had; the message names its field, and nothing that came in it.
    """

    def clear(key: port.Key, place: bytes) -> port.Key:
        if not key.kek and required:
            raise KeyWrapError("this mixer takes wrapped keys only: wrap it under a key-encryption key (`kek`)")
        if not key.kek:
            return key
        if key.kek not in wrappers:
            raise KeyWrapError(_unknown(wrappers))
        secret = wrappers[key.kek].unwrap(key.secret, key.suite, place)
        return msgspec.structs.replace(key, secret=secret, kek="")

    return _with_keys(command, boot, clear)


def has_keys(command: msgspec.Struct) -> bool:
    """Whether a command carries a key, wrapped or not."""
    return any(True for _ in _keys(command))


def _with_keys(command: C, boot: str, change: Callable[[port.Key, bytes], port.Key]) -> C:
    changed = {}
    for field, key in _keys(command):
        conference, recipient, direction = _place(command, field)
        place = context(
            conference=conference,
            recipient=recipient,
            direction=direction,
            epoch=key.epoch,
            mki=key.mki,
            suite=key.suite,
            boot=boot,
        )
        try:
            changed[field] = change(key, place)
        except KeyWrapError as error:
            raise KeyWrapError(f"{field}: {error}") from None
    return msgspec.structs.replace(command, **changed) if changed else command


def _keys(command: msgspec.Struct) -> Iterator[tuple[str, port.Key]]:
    for field in command.__struct_fields__:
        key = getattr(command, field)
        if isinstance(key, port.Key):
            yield field, key


def _place(command: msgspec.Struct, field: str) -> tuple[str, str | int, Direction]:
    """Conference, recipient and direction of the key in a field.

    Raises:
        KeyWrapError: if the field has none; a key that nobody thought of does not slip through in clear.
    """
    match command, field:
        case port.ConferenceCreate(), "key":
            return command.conference, 0, "tx"
        case port.ConferenceCreate(), "uplink_key":
            return command.conference, 0, "uplink"
        case port.LegAdd(), "rx" | "tx":
            return command.conference, command.leg, "rx" if field == "rx" else "tx"
        case port.KeyPrepare(), "key":
            if command.leg is None and command.direction == "rx":
                return command.conference, 0, "uplink"
            return command.conference, command.cohort if command.leg is None else command.leg, command.direction
    raise KeyWrapError(f"{field}: a key in this place cannot be wrapped")


def _unknown(wrappers: Mapping[str, Wrapper]) -> str:
    if not wrappers:
        return "this mixer has no key-encryption keys: give it some with [control] kek_file"
    return f"this mixer has no key-encryption key of that name; it has {', '.join(sorted(wrappers))}"
