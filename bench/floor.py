"""The floor: what the kernel alone takes for the same packets at the same rate.

    python -m bench.floor           prints its port, echoes until standard input ends

No key, no parser, no mix: every 20 ms it takes all datagrams off a socket and sends each back to where
it came from, by recvmmsg and sendmmsg on structures prepared beforehand. A mixer on this
kernel cannot be cheaper; `ratio_to_floor` says how much dearer it is.
"""

from __future__ import annotations

import argparse
import select
import sys
import time

import numpy as np

from bench.sockets import RUN, Messages, address_of, open_socket
from mixer.batch import SOCKADDR, STRIDE

_TICK_NS = 20_000_000


class Echo:
    """Rows for one tick's datagrams; what comes into a row goes out of it."""

    def __init__(self, rows: int) -> None:
        self._octets = np.zeros((rows, STRIDE), np.uint8)
        self._address = np.zeros((rows, SOCKADDR), np.uint8)
        self._messages = Messages(rows)
        rank = np.arange(rows, dtype=np.uint64)
        self._messages.iovecs["base"] = address_of(self._octets) + rank * np.uint64(STRIDE)
        self._messages.headers["name"] = address_of(self._address) + rank * np.uint64(SOCKADDR)
        self._rows = rows
        self._count = 0
        self._arm()

    def receive(self, fd: int) -> None:
        """Take what waits, as far as there are rows for it."""
        while space := min(RUN, self._rows - self._count):
            got = self._messages.receive(fd, self._count, space)
            self._count += got
            if got < space:
                return

    def send(self, fd: int) -> None:
        """Send everything back, and make room."""
        sizes = self._messages.headers["length"][: self._count]
        self._messages.iovecs["length"][: self._count] = sizes
        self._messages.send(fd, 0, self._count)
        self._count = 0
        self._arm()

    def _arm(self) -> None:
        """Say again how much each row can take: the kernel wrote over it."""
        self._messages.iovecs["length"] = STRIDE
        self._messages.headers["namelen"] = SOCKADDR


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rows", type=int, default=4096, help="most datagrams in 20 ms")
    echo = Echo(parser.parse_args().rows)
    endpoint = open_socket("127.0.0.1")
    print(endpoint.getsockname()[1], flush=True)
    poll = select.poll()
    poll.register(sys.stdin, select.POLLIN | select.POLLHUP)
    due = time.monotonic_ns()
    ticks = 0
    while not (ticks % 50 == 0 and poll.poll(0)):
        due += _TICK_NS
        ticks += 1
        rest = due - time.monotonic_ns()
        if rest > 0:
            time.sleep(rest / 1e9)
        echo.receive(endpoint.fileno())
        echo.send(endpoint.fileno())


if __name__ == "__main__":
    main()
