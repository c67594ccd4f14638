"""Addresses as the kernel writes them, against the socket module."""

from __future__ import annotations

import ipaddress
import socket
import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mixer import addresses
from mixer.addresses import AddressError
from mixer.batch import SOCKADDR

ports = st.integers(1, 65534)


@given(st.ip_addresses(v=4), ports)
def test_ipv4_there_and_back(address: ipaddress.IPv4Address, port: int) -> None:
    packed = addresses.pack(f"{address}:{port}")
    expected = struct.pack("=H", socket.AF_INET) + port.to_bytes(2) + socket.inet_aton(str(address))
    assert packed.tobytes() == expected.ljust(SOCKADDR, b"\0")
    assert addresses.unpack(packed) == f"{address}:{port}"


@given(st.ip_addresses(v=6), ports)
def test_ipv6_there_and_back(address: ipaddress.IPv6Address, port: int) -> None:
    packed = addresses.pack(f"[{address}]:{port}")
    if address.ipv4_mapped:
        assert addresses.unpack(packed) == f"{address.ipv4_mapped}:{port}"
        return
    host = socket.inet_pton(socket.AF_INET6, str(address).partition("%")[0])
    expected = struct.pack("=H", socket.AF_INET6) + port.to_bytes(2) + bytes(4) + host
    assert packed.tobytes() == expected.ljust(SOCKADDR, b"\0")
    assert addresses.unpack(packed).endswith(f":{port}")


@pytest.mark.parametrize(
    "text", ["", "192.0.2.1", "192.0.2.1:", "192.0.2.1:x", "192.0.2.1:0", "192.0.2.1:65535", "host:4", "300.0.0.1:4"]
)
def test_no_address(text: str) -> None:
    with pytest.raises(AddressError, match=r"is not an address|is not in 1 to"):
        addresses.pack(text)


def test_mapped_addresses_are_ipv4() -> None:
    assert addresses.unpack(addresses.pack("[::ffff:192.0.2.7]:9")) == "192.0.2.7:9"


def test_nothing_is_nowhere() -> None:
    assert addresses.unpack(np.zeros(SOCKADDR, np.uint8)) == ""


def test_next_port_carries() -> None:
    packed = addresses.pack("192.0.2.1:511")
    assert addresses.unpack(addresses.next_port(packed)) == "192.0.2.1:512"
    assert addresses.unpack(packed) == "192.0.2.1:511"
