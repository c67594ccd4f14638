"""UDP in batches: recvmmsg and sendmmsg over numpy memory, the only file that makes these calls.

A message vector is a numpy array laid out like `struct mmsghdr` (Linux, 64-bit), so that filling it for
thousands of packets is a handful of column writes. Sockets are one family each: IPv4 addresses then stay
16 octets, and the kernel's IPv4 path is the shorter one.
"""

from __future__ import annotations

import errno
import socket
import time
from typing import Any, Final

import numpy as np
from cffi import FFI
from numpy.typing import NDArray

from mixer.batch import SOCKADDR, STRIDE, Batch, Fanout

_FFI = FFI()
_FFI.cdef(
    """
    int recvmmsg(int fd, void *messages, unsigned int count, int flags, void *timeout);
    int sendmmsg(int fd, void *messages, unsigned int count, int flags);
    """
)
_LIBC: Final[Any] = _FFI.dlopen(None)

_MESSAGE: Final = np.dtype(
    [
        ("name", "u8"),
        ("name_length", "u4"),
        ("_pad1", "u4"),
        ("vector", "u8"),
        ("vector_length", "u8"),
        ("control", "u8"),
        ("control_length", "u8"),
        ("flags", "i4"),
        ("_pad2", "u4"),
        ("length", "u4"),
        ("_pad3", "u4"),
    ]
)
_VECTOR: Final = np.dtype([("base", "u8"), ("length", "u8")])
_CONTROL: Final = 64
_DONTWAIT, _TRUNC = 0x40, 0x20
_SO_RCVBUFFORCE, _SO_SNDBUFFORCE, _SO_TIMESTAMPNS = 33, 32, 35
_SENDMMSG_MAX: Final = 1024
_RETRIES: Final = 3
_INET_LENGTH, _INET6_LENGTH = 16, 28


class UdpError(OSError):
    """A socket could not be opened; the message says which and what to do."""


class Receiver:
    """The message vector of one batch. `batch` must not be rebound while this lives."""

    def __init__(self, batch: Batch) -> None:
        self.batch = batch
        rows = np.arange(batch.rows, dtype=np.uint64)
        self._vectors = np.zeros(batch.rows, _VECTOR)
        self._vectors["base"] = batch.octets.ctypes.data + rows * np.uint64(STRIDE)
        self._vectors["length"] = STRIDE
        self._control = np.zeros((batch.rows, _CONTROL // 8), np.int64)
        self._messages = np.zeros(batch.rows, _MESSAGE)
        self._messages["name"] = batch.source.ctypes.data + rows * np.uint64(SOCKADDR)
        self._messages["vector"] = self._vectors.ctypes.data + rows * np.uint64(_VECTOR.itemsize)
        self._messages["vector_length"] = 1
        self._messages["control"] = self._control.ctypes.data + rows * np.uint64(_CONTROL)

    def fill(self, source: UdpSocket, local: int, origin_ns: int) -> int:
        """Append what waits in a socket to the batch, as far as it fits.

        Args:
            local: number of the local port, for `Batch.local`.
            origin_ns: CLOCK_MONOTONIC time of the engine's frame 0.

        Returns:
            How many datagrams came; if the batch is full afterwards, there may be more.
        """
        batch, begin = self.batch, self.batch.count
        room = batch.rows - begin
        self._messages["name_length"][begin:] = SOCKADDR
        self._messages["control_length"][begin:] = _CONTROL
        pointer = _FFI.cast("void *", self._messages.ctypes.data + begin * _MESSAGE.itemsize)
        got = _LIBC.recvmmsg(source.fileno(), pointer, room, _DONTWAIT | _TRUNC, _FFI.NULL) if room else 0
        if got <= 0:
            return 0
        end = begin + got
        batch.count = end
        batch.length[begin:end] = self._messages["length"][begin:end]
        batch.local[begin:end] = local
        if source.family == socket.AF_INET:
            batch.source[begin:end, _INET_LENGTH:] = 0
        batch.arrival[begin:end] = self._arrivals(begin, end) - origin_ns
        return int(got)

    def _arrivals(self, begin: int, end: int) -> NDArray[np.int64]:
        """When the kernel got each datagram (SO_TIMESTAMPNS), on CLOCK_MONOTONIC, ns."""
        offset = time.time_ns() - time.monotonic_ns()
        stamps = self._control[begin:end]
        return stamps[:, 2] * 1_000_000_000 + stamps[:, 3] - offset


class UdpSocket:
    """A non-blocking UDP socket for batches.

    Raises:
        UdpError: if it can't be bound.
    """

    def __init__(self, family: int, host: str, port: int, *, receive_buffer: int = 0, send_buffer: int = 0) -> None:
        self.family = family
        self._socket = socket.socket(family, socket.SOCK_DGRAM)
        self._socket.setblocking(False)
        if family == socket.AF_INET6:
            self._socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        try:
            self._socket.bind((host, port))
        except OSError as error:
            self._socket.close()
            raise UdpError(
                f"UDP {host}:{port} is not to be had ({error.strerror}); choose another host or port"
            ) from error
        self.port: int = self._socket.getsockname()[1]
        self._socket.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
        self.granted_rcvbuf = self._ask(_SO_RCVBUFFORCE, socket.SO_RCVBUF, receive_buffer)
        self.granted_sndbuf = self._ask(_SO_SNDBUFFORCE, socket.SO_SNDBUF, send_buffer)
        self._vectors = np.zeros(0, _VECTOR)
        self._messages = np.zeros(0, _MESSAGE)
        self.unsent = 0
        """Packets that the kernel refused or had no room for."""

    def _ask(self, force: int, polite: int, size: int) -> int:
        """Set a buffer size, above the system's limit if we may; returns what was granted, octets."""
        if size:
            try:
                self._socket.setsockopt(socket.SOL_SOCKET, force, size)
            except PermissionError:
                self._socket.setsockopt(socket.SOL_SOCKET, polite, size)
        return self._socket.getsockopt(socket.SOL_SOCKET, polite)

    def fileno(self) -> int:
        return self._socket.fileno()

    def close(self) -> None:
        self._socket.close()

    def send(self, fanout: Fanout) -> int:
        """Send every packet of a fanout to its destinations; returns how many the kernel took."""
        count = len(fanout.packet)
        if count > len(self._messages):
            self._grow(2 * count)
        vectors, messages = self._vectors[:count], self._messages[:count]
        packet = fanout.packet.astype(np.uint64)
        address = np.ascontiguousarray(fanout.address)
        vectors["base"] = fanout.octets.ctypes.data + packet * np.uint64(fanout.octets.strides[0])
        vectors["length"] = fanout.length[fanout.packet]
        messages["name"] = address.ctypes.data + np.arange(count, dtype=np.uint64) * np.uint64(SOCKADDR)
        return self._send(count)

    def _send(self, count: int) -> int:
        base, done, lost, retries = self._messages.ctypes.data, 0, 0, 0
        while done < count:
            pointer = _FFI.cast("void *", base + done * _MESSAGE.itemsize)
            sent = _LIBC.sendmmsg(self.fileno(), pointer, min(_SENDMMSG_MAX, count - done), _DONTWAIT)
            if sent > 0:
                done, retries = done + sent, 0
            elif _FFI.errno in (errno.EAGAIN, errno.ENOBUFS, errno.EINTR) and retries < _RETRIES:
                retries += 1
            else:
                # The packet at the head can't be sent (no route, say); those behind it may.
                done, lost = done + 1, lost + 1
        self.unsent += lost
        return count - lost

    def _grow(self, count: int) -> None:
        rows = np.arange(count, dtype=np.uint64)
        self._vectors = np.zeros(count, _VECTOR)
        self._messages = np.zeros(count, _MESSAGE)
        self._messages["vector"] = self._vectors.ctypes.data + rows * np.uint64(_VECTOR.itemsize)
        self._messages["vector_length"] = 1
        self._messages["name_length"] = _INET_LENGTH if self.family == socket.AF_INET else _INET6_LENGTH
