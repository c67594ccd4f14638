"""Error messages: RFC 3830 section 5.1.2, RFC 6043 section 5.4.

Knows how a complaint is written and read; must never know what it is about.

    HDR, T, ERR, [V]        the MAC covers this message alone
"""

from __future__ import annotations

from control.mikey.cipher import check_mac, mac
from control.mikey.errors import Forged, Reported
from control.mikey.header import Header
from control.mikey.message import Message
from control.mikey.numbers import MAC_LENGTH, DataType, ErrorNo, MacAlg
from control.mikey.payloads import Fault, Payload, Timestamp, Verification
from mixer.secret import Secret


def complain(about: Header, number: ErrorNo, clock: Timestamp, key: Secret | None) -> bytes:
    """An Error message about a message with this header; with a MAC if there is a key to make it."""
    header = Header(DataType.ERROR, about.csb_id, prf=about.prf)
    parts: tuple[Payload, ...] = (clock, Fault(number))
    if key is None:
        return Message(header, parts).encode()
    octets = Message(header, (*parts, Verification(MacAlg.HMAC_SHA_256_256, b""))).encode()
    return octets + mac(MacAlg.HMAC_SHA_256_256, key, octets)


def reported(message: Message, octets: bytes, algorithm: MacAlg, key: Secret) -> Reported:
    """What an Error message says. It is authentic if it ends with a right MAC of this algorithm."""
    numbers = tuple(fault.number for fault in message.all(Fault))
    claimed = message.payloads[-1] if message.payloads else None
    if not isinstance(claimed, Verification) or claimed.algorithm != algorithm:
        return Reported(numbers, authentic=False)
    try:
        check_mac(algorithm, key, octets[: -MAC_LENGTH[algorithm]], claimed.mac)
    except Forged:
        return Reported(numbers, authentic=False)
    return Reported(numbers, authentic=True)
