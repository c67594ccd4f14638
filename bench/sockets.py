"""Sockets of the measuring end: thousands of loopback addresses on one socket, in batches.

One UDP socket stands for all legs. What a leg sends carries its address as IP_PKTINFO, and IP_PKTINFO
says for which leg an arriving packet is; SO_TIMESTAMPNS says when the kernel had it. Everything the
kernel writes goes straight into arrays that are read after the run: while it runs, nothing is looked
at. The structures of sendmmsg(2) and recvmmsg(2) are numpy records, so filling them is one expression.
"""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import time
from typing import Any, Final

import cffi
import numpy as np
from numpy.typing import NDArray

RUN: Final = 1024
"""Packets a system call, which is also the kernel's limit."""

CONTROL: Final = 64
"""Octets of control messages a packet: a timestamp and a packet info, 32 each."""

MMSGHDR: Final = np.dtype(
    [
        ("name", np.uint64),
        ("namelen", np.uint32),
        ("_pad0", np.uint32),
        ("iov", np.uint64),
        ("iovlen", np.uint64),
        ("control", np.uint64),
        ("controllen", np.uint64),
        ("flags", np.int32),
        ("_pad1", np.uint32),
        ("length", np.uint32),
        ("_pad2", np.uint32),
    ]
)
IOVEC: Final = np.dtype([("base", np.uint64), ("length", np.uint64)])
_PKTINFO: Final = np.dtype(
    [
        ("len", np.uint64),
        ("level", np.int32),
        ("type", np.int32),
        ("ifindex", np.int32),
        ("source", ">u4"),
        ("destination", ">u4"),
        ("_pad", np.uint32),
    ]
)
_TIMESTAMP: Final = np.dtype(
    [("len", np.uint64), ("level", np.int32), ("type", np.int32), ("s", np.int64), ("ns", np.int64)]
)
_SOCKADDR: Final = np.dtype([("family", np.uint16), ("port", ">u2"), ("address", ">u4"), ("zero", "V8")])

_IP_PKTINFO: Final = 8
_IP_MTU_DISCOVER: Final = 10
_IP_PMTUDISC_PROBE: Final = 3
_SO_TIMESTAMPNS: Final = 35
_SO_RCVBUFFORCE: Final = 33
_SO_SNDBUFFORCE: Final = 32
_MSG_DONTWAIT: Final = 0x40

_ffi = cffi.FFI()
_ffi.cdef(
    """
    int sendmmsg(int fd, void *messages, unsigned int count, int flags);
    int recvmmsg(int fd, void *messages, unsigned int count, int flags, void *timeout);
    """
)
_libc: Any = _ffi.dlopen(None)


class Messages:
    """An array of mmsghdr with one iovec each, and its pointers."""

    def __init__(self, count: int) -> None:
        self.headers: NDArray[Any] = np.zeros(count, MMSGHDR)
        self.iovecs: NDArray[Any] = np.zeros(count, IOVEC)
        self.headers["iov"] = address_of(self.iovecs) + np.arange(count, dtype=np.uint64) * np.uint64(16)
        self.headers["iovlen"] = 1
        self._base = self.headers.ctypes.data

    def send(self, fd: int, first: int, count: int) -> None:
        """Send messages `first` to `first + count`; blocks until the kernel took them all."""
        end = first + count
        while first < end:
            sent = _libc.sendmmsg(fd, self._at(first), min(RUN, end - first), 0)
            if sent < 0:
                _raise_unless(errno.EINTR)
                continue
            first += sent

    def receive(self, fd: int, first: int, count: int) -> int:
        """Receive up to `count` messages that wait, none if none does; returns how many."""
        got: int = _libc.recvmmsg(fd, self._at(first), min(RUN, count), _MSG_DONTWAIT, _ffi.NULL)
        if got < 0:
            _raise_unless(errno.EAGAIN, errno.EINTR)
            return 0
        return got

    def _at(self, row: int) -> Any:
        return _ffi.cast("void *", self._base + row * MMSGHDR.itemsize)


def address_of(array: NDArray[Any]) -> np.uint64:
    """Where an array's octets are."""
    return np.uint64(array.ctypes.data)


def open_socket(host: str, port: int = 0, *, buffer: int = 32 << 20) -> socket.socket:
    """A blocking UDP socket with as much kernel buffer as we are allowed to have."""
    endpoint = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    for forced, asked in ((_SO_RCVBUFFORCE, socket.SO_RCVBUF), (_SO_SNDBUFFORCE, socket.SO_SNDBUF)):
        try:
            endpoint.setsockopt(socket.SOL_SOCKET, forced, buffer)
        except PermissionError:
            endpoint.setsockopt(socket.SOL_SOCKET, asked, buffer)
    endpoint.bind((host, port))
    return endpoint


class Loopback:
    """All legs' socket: bound to the loopback device, with packet info and timestamps switched on."""

    def __init__(self) -> None:
        self.socket = open_socket("0.0.0.0")
        # Nothing from outside this machine may reach us, nor we it. Old kernels want root for this;
        # there the addresses alone keep us on 127.0.0.0/8.
        with contextlib.suppress(PermissionError):
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"lo")
        self.socket.setsockopt(socket.IPPROTO_IP, _IP_PKTINFO, 1)
        # "Don't fragment" without looking up an IP identifier for every packet: 6 % of a send.
        self.socket.setsockopt(socket.IPPROTO_IP, _IP_MTU_DISCOVER, _IP_PMTUDISC_PROBE)
        self.socket.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
        self.fd = self.socket.fileno()
        self.port: int = self.socket.getsockname()[1]

    def discard(self) -> None:
        """Throw away what waits."""
        while True:
            try:
                self.socket.recv(1, socket.MSG_DONTWAIT)
            except BlockingIOError:
                return

    def close(self) -> None:
        self.socket.close()


class Outbox:
    """Packets made before the run, uint8[ticks, legs, stride], in the order in which legs are sent.

    Args:
        size: octets of every packet, or int32[ticks, legs].
        port: where all go, or int[legs].
    """

    def __init__(
        self,
        packets: NDArray[np.uint8],
        size: int | NDArray[np.int32],
        sources: NDArray[np.uint32],
        port: int | NDArray[np.intp],
    ) -> None:
        self._packets = packets
        self._sizes = None if isinstance(size, int) else size
        legs = len(sources)
        self._messages = Messages(legs)
        self._target = np.zeros(legs, _SOCKADDR)
        self._target["family"] = socket.AF_INET
        self._target["port"] = port
        self._target["address"] = 0x7F00_0001
        self._info = np.zeros(legs, _PKTINFO)
        self._info["len"] = 28
        self._info["level"] = socket.IPPROTO_IP
        self._info["type"] = _IP_PKTINFO
        self._info["source"] = sources
        headers = self._messages.headers
        headers["name"] = address_of(self._target) + np.arange(legs, dtype=np.uint64) * np.uint64(16)
        headers["namelen"] = 16
        self._control = address_of(self._info) + np.arange(legs, dtype=np.uint64) * np.uint64(32)
        headers["control"] = self._control
        headers["controllen"] = 32
        self._messages.iovecs["length"] = size if self._sizes is None else 0
        step = np.uint64(packets.strides[1])
        self._offset = np.arange(legs, dtype=np.uint64) * step

    def send(self, fd: int, tick: int, first: int, count: int) -> None:
        """Send tick `tick` of `count` legs from row `first`."""
        base = address_of(self._packets) + np.uint64(tick * self._packets.strides[0])
        self._messages.iovecs["base"][first : first + count] = self._offset[first : first + count] + base
        if self._sizes is not None:
            self._messages.iovecs["length"][first : first + count] = self._sizes[tick, first : first + count]
        self._messages.send(fd, first, count)

    def send_some(self, fd: int, tick: int, rows: NDArray[np.intp]) -> None:
        """Send tick `tick` of these rows, all of one size and to one port. Not for an outbox that `send` is used
        with."""
        base = address_of(self._packets) + np.uint64(tick * self._packets.strides[0])
        self._messages.iovecs["base"][: len(rows)] = self._offset[rows] + base
        self._messages.headers["control"][: len(rows)] = self._control[rows]
        self._messages.send(fd, 0, len(rows))


class Inbox:
    """Whatever arrives, in order, up to `rows` packets: octets, lengths and control messages."""

    def __init__(self, rows: int, stride: int) -> None:
        self.octets: NDArray[np.uint8] = np.empty((rows, stride), np.uint8)
        self.length: NDArray[np.int32] = np.zeros(rows, np.int32)
        self._control: NDArray[np.uint8] = np.empty((rows, CONTROL), np.uint8)
        # Touch every page now: a page fault in the run would be measured as the mixer's latency.
        self.octets.fill(0)
        self._control.fill(0)
        self.count = 0
        self._messages = Messages(RUN)
        self._messages.iovecs["length"] = stride
        rank = np.arange(RUN, dtype=np.uint64)
        self._octet_offset = rank * np.uint64(stride)
        self._control_offset = rank * np.uint64(CONTROL)

    @property
    def full(self) -> bool:
        return self.count >= len(self.length)

    def drain(self, fd: int) -> None:
        """Take everything that waits in the socket."""
        while not self.full:
            space = min(RUN, len(self.length) - self.count)
            self._aim(space)
            got = self._messages.receive(fd, 0, space)
            self.length[self.count : self.count + got] = self._messages.headers["length"][:got]
            self.count += got
            if got < space:
                return

    def wait_until(self, due: int, fd: int) -> int:
        """Take in what waits, then sleep until `due` (monotonic, ns); returns by how much it was missed."""
        self.drain(fd)
        rest = due - time.monotonic_ns()
        if rest > 0:
            time.sleep(rest / 1e9)
        return time.monotonic_ns() - due

    def arrival_ns(self) -> NDArray[np.int64]:
        """int64[count]: CLOCK_REALTIME when the kernel had each packet."""
        stamp = self._control[: self.count, :32].copy().view(_TIMESTAMP)[:, 0]
        if (stamp["type"] != _SO_TIMESTAMPNS).any():
            raise OSError("the kernel gave no timestamps: SO_TIMESTAMPNS does not work here")
        return np.asarray(stamp["s"] * 1_000_000_000 + stamp["ns"], np.int64)

    def destination(self) -> NDArray[np.int64]:
        """int64[count]: the IPv4 address each packet was sent to, as a number."""
        info = self._control[: self.count, 32:].copy().view(_PKTINFO)[:, 0]
        if (info["type"] != _IP_PKTINFO).any():
            raise OSError("the kernel gave no packet info: IP_PKTINFO does not work here")
        return np.asarray(info["destination"], np.int64)

    def _aim(self, space: int) -> None:
        octets = address_of(self.octets) + np.uint64(self.count * self.octets.shape[1])
        control = address_of(self._control) + np.uint64(self.count * CONTROL)
        self._messages.iovecs["base"][:space] = self._octet_offset[:space] + octets
        self._messages.headers["control"][:space] = self._control_offset[:space] + control
        self._messages.headers["controllen"][:space] = CONTROL


def _raise_unless(*fine: int) -> None:
    if _ffi.errno not in fine:
        raise OSError(_ffi.errno, os.strerror(_ffi.errno))
