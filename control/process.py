"""What the daemon asks of the system: no core dumps, and a word with systemd.

Best effort by nature: on a system without these, the mixer mixes all the same.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import resource
import socket
from typing import Final

_PR_SET_DUMPABLE: Final = 4


def forbid_core_dumps() -> bool:
    """Keep keys out of core files, and other processes of this user out of our memory.

    True if the system agreed (RLIMIT_CORE 0 and PR_SET_DUMPABLE 0).
    """
    try:
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        libc = ctypes.CDLL(None, use_errno=True)
        return int(libc.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)) == 0
    except (OSError, ValueError, AttributeError):
        return False


def notify(*lines: str) -> bool:
    """Tell systemd how we are (sd_notify(3)): `READY=1`, `STOPPING=1`, `WATCHDOG=1`, `STATUS=...`.

    False if nobody listens.
    """
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address.startswith(("/", "@")):
        return False
    if address.startswith("@"):
        address = "\0" + address[1:]
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as teller:
        teller.setblocking(False)
        teller.sendto("\n".join(lines).encode(), address)
        return True
    return False


def watchdog_s() -> float | None:
    """Seconds within which systemd wants a sign of life, or None if it does not watch us."""
    try:
        period_us = int(os.environ.get("WATCHDOG_USEC", "0"))
        watched = int(os.environ.get("WATCHDOG_PID", str(os.getpid())))
    except ValueError:
        return None
    return period_us / 1e6 if period_us > 0 and watched == os.getpid() else None
