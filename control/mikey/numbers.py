"""The numbers of MIKEY: RFC 3830 section 6, RFC 4563, RFC 6043 section 6, RFC 7714 section 14.3.

Only what this package speaks, and what it must name in order to refuse it.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Final

VERSION: Final = 1


class DataType(IntEnum):
    """What a message is for."""

    PSK = 0
    PSK_VERIFICATION = 1
    ERROR = 6
    REQUEST_INIT_PSK = 11
    REQUEST_RESP = 13
    TRANSFER_INIT = 14
    TRANSFER_RESP = 15
    RESOLVE_INIT_PSK = 16
    RESOLVE_RESP = 18


class PayloadType(IntEnum):
    """The values of "next payload"."""

    LAST = 0
    KEMAC = 1
    T = 5
    ID = 6
    V = 9
    SP = 10
    RAND = 11
    ERR = 12
    TR = 13
    IDR = 14
    RANDR = 15
    TP = 16
    TICKET = 17
    KEY_DATA = 20
    GENERAL_EXTENSION = 21


class MapType(IntEnum):
    """How crypto sessions are mapped to streams."""

    SRTP_ID = 0
    EMPTY = 1
    GENERIC_ID = 2


class Prf(IntEnum):
    """Key derivation functions."""

    MIKEY_1 = 0
    HMAC_SHA_256 = 1


class EncrAlg(IntEnum):
    """How the keys in KEMAC are encrypted."""

    NULL = 0
    AES_CM_128 = 1
    AES_CM_256 = 3


class MacAlg(IntEnum):
    """How a message is authenticated."""

    NULL = 0
    HMAC_SHA_1_160 = 1
    HMAC_SHA_256_256 = 2


MAC_LENGTH: Final[dict[int, int]] = {MacAlg.NULL: 0, MacAlg.HMAC_SHA_1_160: 20, MacAlg.HMAC_SHA_256_256: 32}
"""Octets of a MAC, by its algorithm: the wire does not say."""


class TsType(IntEnum):
    """Kinds of timestamp."""

    NTP_UTC = 0
    NTP = 1
    COUNTER = 2
    NTP_UTC_32 = 3


TS_LENGTH: Final[dict[int, int]] = {TsType.NTP_UTC: 8, TsType.NTP: 8, TsType.COUNTER: 4, TsType.NTP_UTC_32: 4}
"""Octets of a timestamp, by its type: the wire does not say."""


class TsRole(IntEnum):
    """What a timestamp in a ticket policy means."""

    ISSUE = 1
    START = 2
    END = 3
    REKEYING = 4


class IdType(IntEnum):
    """Kinds of identity."""

    NAI = 0
    URI = 1
    BYTES = 2


class IdRole(IntEnum):
    """Whose identity it is."""

    INITIATOR = 1
    RESPONDER = 2
    KMS = 3
    PSK = 4
    APPLICATION = 5


class RandRole(IntEnum):
    """Who drew a random value."""

    INITIATOR = 1
    RESPONDER = 2
    KMS = 3


class KeyType(IntEnum):
    """What a key data sub-payload holds."""

    TGK = 0
    TGK_SALT = 1
    TEK = 2
    TEK_SALT = 3
    GTGK = 4
    GTGK_SALT = 5
    MPK = 6


SALTED: Final = frozenset({KeyType.TGK_SALT, KeyType.TEK_SALT, KeyType.GTGK_SALT})
"""The key types that are followed by a salt."""


class Validity(IntEnum):
    """What says how long a key may be used."""

    NULL = 0
    SPI = 1
    INTERVAL = 2


class ErrorNo(IntEnum):
    """What an Error message complains of."""

    AUTH_FAILURE = 0
    INVALID_TS = 1
    INVALID_PRF = 2
    INVALID_MAC = 3
    INVALID_EA = 4
    INVALID_HA = 5
    INVALID_DH = 6
    INVALID_ID = 7
    INVALID_CERT = 8
    INVALID_SP = 9
    INVALID_SPPAR = 10
    INVALID_DT = 11
    UNSPECIFIED = 12
    INVALID_TICKET = 14
    INVALID_TPPAR = 15


class Protocol(IntEnum):
    """Security protocols that a policy may be for."""

    SRTP = 0
