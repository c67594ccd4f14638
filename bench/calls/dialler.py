"""The dialler: a process that is all phones of a timetable, on one UDP socket.

    python -m bench.calls.dialler       timetable in JSON on the first line of standard input

Prints `ready`; told `go <host> <port of the focus> <port of the media> <CLOCK_MONOTONIC in ns> <file>` it begins at
that moment, and when all is over it prints `done` and leaves the courses of all calls in the file.
"""

from __future__ import annotations

import contextlib
import gc
import select
import sys
import time
from pathlib import Path
from typing import Final

import msgspec

from bench.calls.phones import Phones
from bench.calls.timetable import CLOSING_S, Timetable
from bench.sockets import open_socket

LINGER_S: Final = 1.0
"""How long it goes on when all have hung up: for the last answers."""
_LARGEST: Final = 65535


def main() -> None:
    table = msgspec.json.decode(sys.stdin.readline(), type=Timetable)
    print("ready", flush=True)
    words = sys.stdin.readline().split()
    if len(words) != 6 or words[0] != "go":
        return
    phones = run(table, (words[1], int(words[2])), int(words[3]), int(words[4]))
    Path(words[5]).write_bytes(msgspec.json.encode(list(phones.courses.values())))
    print("done", flush=True)


def run(table: Timetable, focus: tuple[str, int], media_port: int, begin_ns: int) -> Phones:
    """Make all calls."""
    line = open_socket("127.0.0.1")
    line.setblocking(False)
    line.connect(focus)

    def send(octets: bytes) -> None:
        with contextlib.suppress(ConnectionRefusedError):  # the focus is gone: what is asked stays without an answer
            line.send(octets)

    number: int = line.getsockname()[1]
    phones = Phones(table, focus, port=number, media_port=media_port, send=send, stamp=time.time_ns)
    gc.disable()
    end = table.window_s[1] + CLOSING_S + LINGER_S
    while (now := (time.monotonic_ns() - begin_ns) / 1e9) < end:
        phones.advance(now)
        due = phones.due()
        wait = min(end, end if due is None else due) - now
        if not select.select([line], [], [], max(0.0, wait))[0]:
            continue
        while True:
            try:
                octets = line.recv(_LARGEST)
            except BlockingIOError:
                break
            except ConnectionRefusedError:
                continue
            phones.receive(octets, (time.monotonic_ns() - begin_ns) / 1e9)
    line.close()
    return phones


if __name__ == "__main__":
    main()
