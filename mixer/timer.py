"""A timer that does not round: a Linux timerfd on CLOCK_MONOTONIC with absolute deadlines.

Event loops count in milliseconds; a mixer that ticks every 20 of them should not be one late.
"""

from __future__ import annotations

import contextlib
import os
from typing import Any, Final

from cffi import FFI

_FFI = FFI()
_FFI.cdef(
    """
    struct timespec { long seconds; long nanoseconds; };
    struct itimerspec { struct timespec interval; struct timespec value; };
    int timerfd_create(int clock, int flags);
    int timerfd_settime(int fd, int flags, const struct itimerspec *new, struct itimerspec *old);
    """
)
_LIBC: Final[Any] = _FFI.dlopen(None)
_CLOCK_MONOTONIC, _TFD_NONBLOCK, _TFD_CLOEXEC, _TFD_ABSTIME = 1, 0o4000, 0o2000000, 1


class TimerError(OSError):
    """The kernel gave no timer."""


class Timer:
    """Becomes readable once, at the moment it was last set to.

    Raises:
        TimerError: if the kernel has no timerfd for us.
    """

    def __init__(self) -> None:
        self._fd: int = _LIBC.timerfd_create(_CLOCK_MONOTONIC, _TFD_NONBLOCK | _TFD_CLOEXEC)
        if self._fd < 0:
            raise TimerError(_FFI.errno, "no timerfd; raise the limit of open files")
        self._spec = _FFI.new("struct itimerspec *")

    def fileno(self) -> int:
        return self._fd

    def set(self, when_ns: int) -> None:
        """Set the moment, CLOCK_MONOTONIC; one that is over counts as now.

        Raises:
            TimerError: if the kernel refuses.
        """
        self._spec.value.seconds, self._spec.value.nanoseconds = divmod(when_ns, 1_000_000_000)
        if _LIBC.timerfd_settime(self._fd, _TFD_ABSTIME, self._spec, _FFI.NULL):
            raise TimerError(_FFI.errno, "the timer could not be set")

    def acknowledge(self) -> None:
        """Make it unreadable until it is set again."""
        with contextlib.suppress(BlockingIOError):
            os.read(self._fd, 8)

    def close(self) -> None:
        os.close(self._fd)
