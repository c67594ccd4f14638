"""The parser: what it reads, what it keeps, and what it refuses."""

from __future__ import annotations

import pytest

from control.sdp.model import MAX_MEDIA, MAX_OCTETS, Connection, SdpError, parse
from tests.control.sdp import bodies

HEAD = b"v=0\r\no=- 1 2 IN IP4 192.0.2.1\r\n"


@pytest.mark.parametrize("body", [bodies.BARESIP, bodies.BARESIP_DTLS, bodies.LINPHONE, bodies.CHROMIUM])
def test_all_lines_survive_in_their_order(body: bytes) -> None:
    assert parse(body).to_bytes() == body


def test_lf_alone_will_do_and_crlf_is_written() -> None:
    assert parse(bodies.FFMPEG).to_bytes() == bodies.FFMPEG.replace(b"\n", b"\r\n")


def test_what_is_not_understood_is_kept_to_the_octet() -> None:
    strange = (
        HEAD
        + b"s=\xff\xfe caf\xc3\xa9\r\nz=what is this\r\na=key-mgmt:mikey AQ==\r\nm=audio 1/2  X  0\r\nk=clear:x\r\n"
    )
    assert parse(strange).to_bytes() == strange


def test_the_session_and_its_media_by_name() -> None:
    session = parse(bodies.LINPHONE)
    audio, video = session.media
    assert session.origin.version == "1"
    assert session.connection == Connection("IN", "IP4", "192.0.2.1")
    assert (audio.kind, audio.port, audio.port_count, audio.profile) == ("audio", 47000, 1, "RTP/SAVP")
    assert audio.formats == ("97", "98", "0", "8", "18", "101", "99", "100")
    assert (video.kind, video.port, video.connection) == ("video", 0, None)


def test_attributes_are_of_their_level() -> None:
    session = parse(bodies.sdp("a=setup:passive", "m=audio 1 X 0", "a=sendonly", "a=x:1", "a=x:2", "m=audio 2 X 0"))
    first, second = session.media
    assert first.attribute("sendonly") == ""
    assert first.attributes("x") == ["1", "2"]
    assert first.attribute("setup") is None
    assert session.inherited(first, "setup") == ["passive"]
    assert second.attribute("x") is None


def test_an_m_line_has_the_last_word() -> None:
    session = parse(bodies.sdp("a=setup:passive", "m=audio 1 X 0", "a=setup:active"))
    assert session.inherited(session.media[0], "setup") == ["active"]


def test_a_port_count_is_read() -> None:
    assert parse(HEAD + b"m=audio 4000/3 RTP/AVP 0\n").media[0].port_count == 3


@pytest.mark.parametrize(
    "octets",
    [
        b"",
        b"\r\n",
        b"v=1\r\no=- 1 2 IN IP4 192.0.2.1\r\n",
        b"o=- 1 2 IN IP4 192.0.2.1\r\nv=0\r\n",
        b"v=0\r\n",
        b"v=0\r\no=- 1 2 IN IP4\r\n",
        HEAD + b"o=- 1 2 IN IP4 192.0.2.1\r\n",
        HEAD + b"a\r\n",
        HEAD + b"A=x\r\n",
        HEAD + b" a=x\r\n",
        HEAD + b"a=x\0y\r\n",
        HEAD + b"a=x\ry\r\n",
        HEAD + b"\r\na=x\r\n",
        HEAD + b"c=IN IP4\r\n",
        HEAD + b"m=audio 65536 RTP/AVP 0\r\n",
        HEAD + b"m=audio -1 RTP/AVP 0\r\n",
        HEAD + b"m=audio 4000/0 RTP/AVP 0\r\n",
        HEAD + b"m=audio 4000 RTP/AVP\r\n",
        HEAD + b"m=audio RTP/AVP 0\r\n",
        HEAD + "m=audio \u0664 RTP/AVP 0\r\n".encode(),
        HEAD + b"a=" + b"x" * MAX_OCTETS + b"\r\n",
        HEAD + b"m=audio 4000 RTP/AVP 0\r\n" * (MAX_MEDIA + 1),
    ],
)
def test_what_cannot_be_an_sdp_is_refused(octets: bytes) -> None:
    with pytest.raises(SdpError):
        parse(octets)


def test_as_many_m_lines_as_allowed() -> None:
    assert len(parse(HEAD + b"m=audio 4000 RTP/AVP 0\r\n" * MAX_MEDIA).media) == MAX_MEDIA
