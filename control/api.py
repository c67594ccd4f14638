"""What one service can be asked: the value that its server, its clients and its reference page share.

Knows: methods, the types they take and give, and how each is read. Must never know: who asks, or how
it is answered. The mixer's is `control.protocol.MIXER`, the KMS's `control.kms.messages.KMS`.

Whether a reply may hold a key is decided method by method, here. A reply of any other method that
holds one cannot be encoded (invariant I12).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from typing import Any, Final

import msgspec

from mixer.secret import Secret


@dataclass(frozen=True, slots=True)
class Method:
    """One line of an API: its name, what it takes and what it gives."""

    name: str
    params: type[msgspec.Struct]
    reply: type[msgspec.Struct]
    query: bool = False
    """True if it changes nothing."""
    confides: bool = False
    """True if its reply carries a key. Such a reply is never kept: a repeated request is run again."""


@dataclass(frozen=True, eq=False)
class Api:
    """The methods of one service, and the words in which it speaks of itself."""

    methods: Mapping[str, Method]
    refusals: Collection[StrEnum]
    """Its own reasons to refuse."""
    noun: str
    """What the service is called: "mixer"."""
    use: str
    """What its clients want to do: "control this mixer"."""
    clients: str
    """What its clients are called: "controllers"."""

    @cached_property
    def params(self) -> Mapping[str, msgspec.json.Decoder[Any]]:
        """What reads the params of each method."""
        return {m.name: msgspec.json.Decoder(m.params, dec_hook=_secret_from_text) for m in self.methods.values()}

    @cached_property
    def results(self) -> Mapping[str, msgspec.json.Decoder[Any]]:
        """What reads the reply to each method."""
        return {m.name: msgspec.json.Decoder(m.reply, dec_hook=_secret_from_text) for m in self.methods.values()}

    @cached_property
    def method_of(self) -> Mapping[type[msgspec.Struct], Method]:
        """Methods by the type of their params."""
        return {method.params: method for method in self.methods.values()}


def encode(message: msgspec.Struct, *, confides: bool = False) -> bytes:
    """A message as one line. Raises TypeError if it holds a `Secret` and does not confide."""
    return (_CONFIDING if confides else _CLOSED).encode(message) + b"\n"


def _secret_from_text(kind: type, value: object) -> object:
    if kind is Secret and isinstance(value, str):
        return Secret.from_base64(value)
    raise ValueError("a key is base64url text: key || salt")


def _secret_to_text(value: object) -> str:
    return value.to_base64() if isinstance(value, Secret) else _never(value)


def _never(value: object) -> str:
    raise TypeError(f"a {type(value).__name__} is never put into a reply")


_CLOSED: Final = msgspec.json.Encoder(enc_hook=_never)
_CONFIDING: Final = msgspec.json.Encoder(enc_hook=_secret_to_text)
