"""What a Request-URI asks for."""

from __future__ import annotations

import pytest

from control.focus.dialled import Dialled, dialled
from control.focus.identity import Refused


@pytest.mark.parametrize(
    ("uri", "room", "pin"),
    [
        ("sip:room@host", "room", ""),
        ("sips:room@host:5061", "room", ""),
        ("SIP:room@host", "room", ""),
        ("sip:room;pin=1234@host", "room", "1234"),
        ("sip:room@host;transport=tcp;pin=1234", "room", "1234"),
        ("sip:room+1234@host", "room", "1234"),
        ("sip:room+1234@host;pin=5", "room", "1234"),
        ("sip:room@[2001:db8::1]:5060;pin=7", "room", "7"),
        ("sip:a%20room;pin=%31@host", "a room", "1"),
        ("sip:room@host?pin=1234", "room", ""),
        ("sip:host", "", ""),
        ("sip:host;transport=udp", "", ""),
    ],
)
def test_rooms_and_pins(uri: str, room: str, pin: str) -> None:
    assert dialled(uri) == Dialled(room, pin)


@pytest.mark.parametrize("uri", ["tel:+4930123456", "http://room@host", "room@host", ""])
def test_what_is_no_sip_uri_is_refused(uri: str) -> None:
    with pytest.raises(Refused, match="sip:") as refusal:
        dialled(uri)
    assert refusal.value.status == 416
