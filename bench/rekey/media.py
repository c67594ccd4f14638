"""What a packet costs: encrypting it, in the mixer's batches or one by one, and sending it.

Knows: `mixer.srtp`, sendmmsg. Must never know: keys that anybody uses, rekeying.
"""

from __future__ import annotations

import secrets
import socket
import sys
from typing import Final

import numpy as np

from bench.plan import FIRST_ADDRESS
from bench.rekey.cpu import Cpu, measure
from bench.sockets import Messages, address_of, open_socket
from bench.srtp import plain
from mixer.batch import STRIDE
from mixer.pointers import Pointers
from mixer.secret import Secret
from mixer.srtp import Sessions
from mixer.suites import SUITES, SuiteName

PACKET: Final = 172
"""Octets of an RTP packet with 20 ms of G.711."""
SRTP_PACKET: Final = 186
"""The same with an MKI of 4 octets and a tag of 10."""
_INET: Final = int(socket.AF_INET).to_bytes(2, sys.byteorder)
MKI: Final = bytes.fromhex("00000100")


def encrypt(suite: SuiteName, batch: int, *, rounds: int = 64, samples: int = 9) -> Cpu:
    """One packet through `mixer.srtp.Sessions`, in batches, each packet under a key of its own, MKI included.

    A batch of 256 is a bridged cohort; a batch of one is a group stream.
    """
    sessions, rows = Sessions(batch), np.arange(batch)
    octets, length = np.zeros((batch, STRIDE), np.uint8), np.zeros(batch, np.int32)
    packets = Pointers(octets, length)
    number = np.array(
        [
            sessions.open(SUITES[suite], Secret(secrets.token_bytes(SUITES[suite].secret)), MKI, ssrc=row + 1)
            for row in range(batch)
        ]
    )
    octets[:, 0], octets[:, 8:12] = 0x80, (rows + 1).astype(">u4").view(np.uint8).reshape(-1, 4)
    at = 0

    def act() -> None:
        nonlocal at
        for _ in range(rounds):
            at += 1
            length[:] = PACKET
            octets[:, 2:4] = (at >> 8 & 0xFF, at & 0xFF)
            sessions.protect(packets, rows, number, np.full(batch, at, np.int64))

    try:
        return measure(act, rounds * batch, samples=samples)
    finally:
        sessions.close_all()


def encrypt_plain(suite: SuiteName, *, rounds: int = 4000, samples: int = 9) -> Cpu:
    """One packet through pylibsrtp's own `Session.protect`."""
    protect = plain(suite, secrets.token_bytes(SUITES[suite].secret))
    at = 0

    def act() -> None:
        nonlocal at
        for _ in range(rounds):
            at += 1
            protect(b"\x80\0" + at.to_bytes(2, "big") + bytes(4) + b"\0\0\0\x01" + bytes(PACKET - 12))

    return measure(act, rounds, samples=samples)


def send(*, batch: int = 512, rounds: int = 8, samples: int = 9) -> Cpu:
    """One packet by sendmmsg over loopback, to as many addresses, and into a socket that takes it."""
    source, sink = open_socket("127.0.0.1"), open_socket("0.0.0.0")
    octets = np.zeros((batch, SRTP_PACKET), np.uint8)
    targets = np.zeros((batch, 16), np.uint8)
    for row, target in enumerate(targets):
        address = (FIRST_ADDRESS + row).to_bytes(4, "big")
        target[:8] = np.frombuffer(_INET + sink.getsockname()[1].to_bytes(2, "big") + address, np.uint8)
    messages, taken = Messages(batch), Messages(batch)
    for some, kept in ((messages, octets), (taken, np.zeros_like(octets))):
        some.iovecs["base"] = address_of(kept) + np.arange(batch, dtype=np.uint64) * np.uint64(SRTP_PACKET)
        some.iovecs["length"] = SRTP_PACKET
    messages.headers["name"] = address_of(targets) + np.arange(batch, dtype=np.uint64) * np.uint64(16)
    messages.headers["namelen"] = 16

    def act() -> None:
        for _ in range(rounds):
            messages.send(source.fileno(), 0, batch)

    def drain() -> None:
        while taken.receive(sink.fileno(), 0, batch):
            pass

    try:
        return measure(act, batch * rounds, samples=samples, before=drain)
    finally:
        source.close()
        sink.close()
