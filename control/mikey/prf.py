"""Every key that MIKEY derives from a key: RFC 3830 section 4.1, RFC 6043 sections 5.1 and 6.1, appendix A.2.

Knows labels and lengths; must never know a message.

    RFC 3830                             label
      keys of a message, from a PSK      constant || 0xFF || CSB ID || RAND
      keys of a stream, from a TGK       constant || CS ID || CSB ID || RAND
    RFC 6043
      keys of a message, from PSK, MPK   constant || 0xFF || CSB ID || 1 or 2 || RANDRi || RANDRr
      keys of a stream, from a GTGK      constant || CS ID || 0xFFFFFFFF || 3 || RANDRi || RANDRr
      MPKr', forked from MPKr            constant || 0xFF || 0xFFFFFFFF || 0 || ID || RANDRkms
      key of initiator data, from MPKr   constant || 0xFF || 0xFFFFFFFF || 4
      keys of a ticket, from a TPK       constant || 0xFF || 0xFFFFFFFF || 5 || RAND
      MPKi, MPKr, from the MPK within    constant || 0xFF || 0xFFFFFFFF || 6 || RAND

There each RAND has its length in front, one octet, and the identity two octets.
"""

from __future__ import annotations

import hmac
import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, TypeAlias

from mixer.secret import Secret
from mixer.suites import SUITES, SuiteName


@dataclass(frozen=True, slots=True)
class MessageKeys:
    """What protects one message or one ticket."""

    encryption: Secret
    """16 or 32 octets, for AES in counter mode."""
    authentication: Secret
    """20 or 32 octets, for HMAC."""
    salt: Secret
    """14 octets."""


def prf_sha_1(key: bytes, label: bytes, length: int) -> bytes:
    """The default PRF, MIKEY-1 (RFC 3830 section 4.1.2): `length` octets out of a key and a label."""
    return _prf("sha1", 20, key, label, length)


def prf_sha_256(key: bytes, label: bytes, length: int) -> bytes:
    """PRF-HMAC-SHA-256 (RFC 6043 section 6.1): the same construction over HMAC-SHA-256."""
    return _prf("sha256", 32, key, label, length)


def message_keys(psk: Secret, csb_id: int, rand: bytes) -> MessageKeys:
    """The keys of pre-shared-key messages of one bundle (RFC 3830 section 4.1.4): AES-128, HMAC-SHA-1."""
    key, rest = psk.reveal(), b"\xff" + csb_id.to_bytes(4) + rand
    return MessageKeys(
        Secret(prf_sha_1(key, _MESSAGE_ENCRYPTION + rest, 16)),
        Secret(prf_sha_1(key, _MESSAGE_AUTHENTICATION + rest, 20)),
        Secret(prf_sha_1(key, _MESSAGE_SALT + rest, 14)),
    )


def srtp_key(tgk: Secret, *, csb_id: int, cs_id: int, rand: bytes, suite: SuiteName) -> Secret:
    """Master key || master salt of one crypto session (RFC 3830 section 4.1.3), as long as the suite wants it.

    All who hold the same TGK, CSB ID, CS ID and RAND derive the same (section 8.1).
    """
    return _stream_key(prf_sha_1, tgk, struct.pack(">BI", cs_id, csb_id) + rand, suite)


def group_srtp_key(gtgk: Secret, *, cs_id: int, rand_i: bytes, rand_r: bytes = b"", suite: SuiteName) -> Secret:
    """Master key || master salt of one crypto session, from a ticket's group key (RFC 6043 section 5.1.3).

    The CSB ID has no part in it: all transfers of one ticket with the same RANDs give the same key.
    """
    rest = struct.pack(">BI", cs_id, 0xFFFFFFFF) + b"\x03" + _sized(rand_i) + _sized(rand_r)
    return _stream_key(prf_sha_256, gtgk, rest, suite)


def exchange_keys(key: Secret, *, csb_id: int, answer: bool, rand_i: bytes = b"", rand_r: bytes = b"") -> MessageKeys:
    """The keys of an initial message, or of its answer, from a PSK or MPK (RFC 6043 section 5.1.2)."""
    rest = b"\xff" + csb_id.to_bytes(4) + (b"\x02" if answer else b"\x01") + _sized(rand_i) + _sized(rand_r)
    return _keys_256(key, rest)


def initiator_data_key(mpk_r: Secret) -> Secret:
    """What authenticates initiator data (RFC 6043 section 6.10)."""
    return Secret(prf_sha_256(mpk_r.reveal(), _MESSAGE_AUTHENTICATION + _NOT_OF_A_CSB + b"\x04", 32))


def forked_mpk(mpk_r: Secret, identity: bytes, rand_kms: bytes) -> Secret:
    """MPKr', which only one responder shares with the initiator and the KMS (RFC 6043 section 5.1.1)."""
    label = _MPK_FORKED + _NOT_OF_A_CSB + b"\x00" + struct.pack(">H", len(identity)) + identity + _sized(rand_kms)
    return Secret(prf_sha_256(mpk_r.reveal(), label, len(mpk_r)))


def ticket_keys(tpk: Secret, rand: bytes) -> MessageKeys:
    """The keys of one base ticket (RFC 6043 appendix A.2.1)."""
    return _keys_256(tpk, _NOT_OF_A_CSB + b"\x05" + _sized(rand))


def mpk_pair(mpk: Secret, rand: bytes) -> tuple[Secret, Secret]:
    """MPKi and MPKr, as long as the MPK that stands in the ticket (RFC 6043 appendix A.2.2)."""
    octets, rest = mpk.reveal(), _NOT_OF_A_CSB + b"\x06" + _sized(rand)
    mpk_i = Secret(prf_sha_256(octets, _MPK_INITIATOR + rest, len(mpk)))
    return mpk_i, Secret(prf_sha_256(octets, _MPK_RESPONDER + rest, len(mpk)))


def _keys_256(key: Secret, rest: bytes) -> MessageKeys:
    octets = key.reveal()
    return MessageKeys(
        Secret(prf_sha_256(octets, _MESSAGE_ENCRYPTION + rest, 32)),
        Secret(prf_sha_256(octets, _MESSAGE_AUTHENTICATION + rest, 32)),
        Secret(prf_sha_256(octets, _MESSAGE_SALT + rest, 14)),
    )


def _stream_key(prf: _Prf, key: Secret, rest: bytes, suite: SuiteName) -> Secret:
    octets, lengths = key.reveal(), SUITES[suite]
    return Secret(prf(octets, _TEK + rest, lengths.key) + prf(octets, _SALT + rest, lengths.salt))


def _sized(rand: bytes) -> bytes:
    return struct.pack(">B", len(rand)) + rand


def _prf(digest: str, size: int, key: bytes, label: bytes, length: int) -> bytes:
    """P(s_1) xor P(s_2) xor ..., where the s_i are the 32-octet blocks of the key, the last one maybe shorter."""
    out = 0
    rounds = -(-length // size)
    for at in range(0, len(key), 32):
        block = key[at : at + 32]
        chain, parts = label, b""
        for _ in range(rounds):
            chain = hmac.digest(block, chain, digest)
            parts += hmac.digest(block, chain + label, digest)
        out ^= int.from_bytes(parts[:length])
    return out.to_bytes(length)


# Constants of RFC 3830 table 4.1.3, for keys from a TGK,
_TEK: Final = bytes.fromhex("2AD01C64")
_SALT: Final = bytes.fromhex("39A2C14B")
# of its table 4.1.4, for keys of messages,
_MESSAGE_ENCRYPTION: Final = bytes.fromhex("150533E1")
_MESSAGE_AUTHENTICATION: Final = bytes.fromhex("2D22AC75")
_MESSAGE_SALT: Final = bytes.fromhex("29B88916")
# and of RFC 6043 tables 5.1 and A.1.
_MPK_FORKED: Final = bytes.fromhex("2B288856")
_MPK_INITIATOR: Final = bytes.fromhex("220E99A2")
_MPK_RESPONDER: Final = bytes.fromhex("1F4D675B")

_NOT_OF_A_CSB: Final = b"\xff" + bytes.fromhex("FFFFFFFF")

_Prf: TypeAlias = Callable[[bytes, bytes, int], bytes]
