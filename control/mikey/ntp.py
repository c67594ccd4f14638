"""NTP time: seconds since 1900, in 64 or 32 bits, and what Unix seconds they mean.

The 32 bits of seconds overflow in 2036; which era is meant is told by their first bit, as RFC 6043
section 6.3 demands after RFC 4330 section 3: values without it are of 2036 to 2104.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from control.mikey.errors import Malformed
from control.mikey.numbers import TsType
from control.mikey.payloads import RoleTimestamp, Timestamp

UNIX_EPOCH: Final = 2_208_988_800
"""Seconds from 1900 to 1970."""


def ntp_seconds(unix: int) -> int:
    """Unix seconds as NTP-UTC-32."""
    return (unix + UNIX_EPOCH) % (1 << 32)


def stamp(unix: int, fresh: Callable[[int], bytes]) -> Timestamp:
    """NTP-UTC. The fraction of a second is drawn, so that no two messages of a second share a timestamp, or an IV."""
    return Timestamp(ntp_seconds(unix) << 32 | int.from_bytes(fresh(4)), TsType.NTP_UTC)


def unix_seconds(stamp: Timestamp | RoleTimestamp) -> int:
    """The Unix seconds of a timestamp, its fraction dropped.

    Raises:
        Malformed: if it is a counter.
    """
    if stamp.kind == TsType.COUNTER:
        raise Malformed("a counter stands where a time is needed")
    seconds = stamp.value if stamp.kind == TsType.NTP_UTC_32 else stamp.value >> 32
    return seconds - UNIX_EPOCH + (0 if seconds >> 31 else 1 << 32)
