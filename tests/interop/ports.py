"""Ports of 127.0.0.1 for programs that must be told theirs before they start.

Knows: sockets. Must never know: who will bind the ports. They are taken below the range from which the
kernel hands out its own, so that no passing client takes one between the look and the use.
"""

from __future__ import annotations

import itertools
import os
import random
import socket
from typing import Final

_FIRST: Final = 10000
_END: Final = 32000
_STEP: Final = 20
"""What one `free_block` may ask for; a phone with one call needs less."""

_order = random.Random(os.getpid())
_blocks = itertools.cycle(_order.sample(range(_FIRST, _END, _STEP), (_END - _FIRST) // _STEP))


def free_block(size: int = _STEP) -> int:
    """The first (even) of `size` ports, free at this moment for UDP and TCP; no other call gets them soon."""
    if size > _STEP:
        raise ValueError(f"a block has {_STEP} ports: ask for no more")
    return next(first for first in _blocks if all(_is_free(port) for port in range(first, first + size)))


def _is_free(port: int) -> bool:
    for kind in (socket.SOCK_DGRAM, socket.SOCK_STREAM):
        with socket.socket(socket.AF_INET, kind) as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                return False
    return True
