"""Secret: octets that refuse to be shown.

Knows: how to hold key material so that no log line, traceback, metric or pickle can carry it
(invariant I12). Must never know: what the octets are for.

Wiping is best effort. CPython may have copied the octets before they reached us, and libsrtp keeps
the session keys it derives; the promise is "short-lived, never printed, not dumped", not "erased".
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import hmac
from typing import NoReturn


class SecretError(ValueError):
    """The text is not base64url, or the secret has been wiped. Never carries the octets."""


class Secret:
    """Key material in a mutable buffer: compared in constant time, shown never, wiped on request and when dropped."""

    __slots__ = ("_octets",)

    def __init__(self, octets: bytes | bytearray) -> None:
        self._octets = bytearray(octets)

    @classmethod
    def from_base64(cls, text: str) -> Secret:
        """Parse base64 or base64url, with or without padding (RFC 4648 sections 4 and 5).

        Raises:
            SecretError: if the text is neither.
        """
        try:
            padded = text + "=" * (-len(text) % 4)
            return cls(base64.b64decode(padded.translate(_URL_TO_STANDARD), validate=True))
        except (binascii.Error, ValueError):
            raise SecretError("the key is not base64url text; send base64url(key || salt)") from None

    def reveal(self) -> bytes:
        """Return a copy of the octets. Call it only to hand them to a cipher.

        Raises:
            SecretError: if the secret has been wiped.
        """
        if not self._octets:
            raise SecretError("this secret has been wiped")
        return bytes(self._octets)

    def to_base64(self) -> str:
        """base64url without padding, for the one place that may send a key: the control client."""
        return base64.urlsafe_b64encode(self.reveal()).rstrip(b"=").decode("ascii")

    def wipe(self) -> None:
        """Overwrite the octets with zeros and forget them."""
        self._octets[:] = bytes(len(self._octets))
        self._octets = bytearray()

    def is_trivial(self) -> bool:
        """True if every octet is the same, as in an all-zero key."""
        return len(set(self._octets)) <= 1

    def __len__(self) -> int:
        return len(self._octets)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        return hmac.compare_digest(self._octets, other._octets)

    def __hash__(self) -> NoReturn:
        raise TypeError("a Secret is not hashable: a dict or set would order it by its content")

    def __repr__(self) -> str:
        return "<secret>"

    __str__ = __repr__

    def __format__(self, spec: str) -> str:
        return repr(self)

    def __del__(self) -> None:
        # Commands are dropped, not wiped, by everybody they pass through.
        with contextlib.suppress(AttributeError):  # of a Secret that never came to be
            self.wipe()

    def _never(self, *_: object) -> NoReturn:
        raise TypeError("a Secret is never pickled or copied")

    __reduce__ = __reduce_ex__ = __getstate__ = __copy__ = __deepcopy__ = _never


_URL_TO_STANDARD = str.maketrans("-_", "+/")
