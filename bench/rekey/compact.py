"""A compact key channel: the least that delivers a group key safely. A MODEL of an in-band or datagram channel.

Knows: two messages and the keys for them. Must never know: MIKEY, policies, sockets.

    KEY  type 1 | zero 3 | conference 4 | epoch 4 | SSRC 4 | ROC 4 | wrapped secret 40              60 octets
    ACK  type 1 | zero 3 | conference 4 | epoch 4 | MAC 16                                          28 octets

The secret is wrapped by AES-KWP (RFC 5649) under a key for this one message, HMAC-SHA256 over conference, epoch, stream
and member: so a message that was captured opens nothing else, and one that was changed does not open. The
acknowledgement is an HMAC under another key of the member. No product speaks this; it stands for what EKT
(RFC 8870) or a control channel of one's own would cost, and says how much of MIKEY's cost is MIKEY's.
"""

from __future__ import annotations

import hmac
import struct
from typing import Final

from cryptography.hazmat.primitives.keywrap import (
    InvalidUnwrap,
    aes_key_unwrap_with_padding,
    aes_key_wrap_with_padding,
)

_KEY: Final = struct.Struct(">BxxxIIII")
_ACK: Final = struct.Struct(">BxxxII")
_MAC: Final = 16
KEY_OCTETS: Final = _KEY.size + 40
ACK_OCTETS: Final = _ACK.size + _MAC


class CompactError(ValueError):
    """The message is forged, or for somebody else; it changes nothing."""


class End:
    """Either end of one member's channel."""

    def __init__(self, psk: bytes, member: str) -> None:
        self._member = member.encode()
        self._wrap = hmac.digest(psk, b"mrfp bench wrap", "sha256")
        self._ack = hmac.digest(psk, b"mrfp bench ack", "sha256")

    def push(self, secret: bytes, conference: int, epoch: int, ssrc: int, roc: int) -> bytes:
        """The message that brings a secret of 32 octets."""
        head = _KEY.pack(1, conference, epoch, ssrc, roc)
        return head + aes_key_wrap_with_padding(self._key_for(head), secret)

    def accept(self, octets: bytes) -> tuple[bytes, bytes]:
        """The secret, and the acknowledgement to send back. Raises `CompactError`."""
        if len(octets) != KEY_OCTETS or octets[0] != 1:
            raise CompactError("no key message")
        head = octets[: _KEY.size]
        try:
            secret = aes_key_unwrap_with_padding(self._key_for(head), octets[_KEY.size :])
        except InvalidUnwrap:
            raise CompactError("the wrapped key is not for this member, conference and epoch") from None
        _, conference, epoch, _, _ = _KEY.unpack(head)
        answer = _ACK.pack(2, conference, epoch)
        return secret, answer + self._mac(answer)

    def acknowledged(self, octets: bytes) -> int:
        """The epoch that the member has. Raises `CompactError`."""
        head, mac = octets[: _ACK.size], octets[_ACK.size :]
        if len(octets) != ACK_OCTETS or octets[0] != 2 or not hmac.compare_digest(mac, self._mac(head)):
            raise CompactError("no acknowledgement of this member")
        epoch: int = _ACK.unpack(head)[2]
        return epoch

    def _key_for(self, head: bytes) -> bytes:
        return hmac.digest(self._wrap, head + self._member, "sha256")[:16]

    def _mac(self, head: bytes) -> bytes:
        return hmac.digest(self._ack, head + self._member, "sha256")[:_MAC]
