"""Ports of 127.0.0.1 for programs that must be told theirs before they start.

Knows: sockets. Must never know: who will bind the ports. They are taken from outside the range from which the
kernel hands out its own, so that no passing client takes one between the look and the use.
"""

from __future__ import annotations

import itertools
import os
import random
import socket
from collections.abc import Iterator
from typing import Final

BLOCK: Final = 20
"""Ports in a block; a telephone with one call needs fewer."""

_BLOCKS: Final = range(10000, 32000, BLOCK)
_SPANS: Final = range(61000, 65000, 4)


def free_block() -> int:
    """The first (even) of `BLOCK` ports, free at this moment for UDP and TCP; no other call gets them soon."""
    return next(first for first in _blocks if all(_is_free(port) for port in range(first, first + BLOCK)))


def free_span() -> int:
    """Where many ports begin whose packets are forged, so that they need not be free: only the first three are."""
    return next(first for first in _spans if all(_is_free(port) for port in range(first, first + 3)))


def _shuffled(choices: range) -> Iterator[int]:
    """Each in turn, in an order that differs from process to process."""
    return itertools.cycle(random.Random(os.getpid()).sample(choices, len(choices)))


def _is_free(port: int) -> bool:
    for kind in (socket.SOCK_DGRAM, socket.SOCK_STREAM):
        with socket.socket(socket.AF_INET, kind) as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                return False
    return True


_blocks = _shuffled(_BLOCKS)
_spans = _shuffled(_SPANS)
