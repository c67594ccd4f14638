"""What people are told to type. tests/interop/test_by_hand.py types it."""

from __future__ import annotations

import msgspec
import pytest

from control import ffmpeg
from mixer import port
from tests.control.fakes import fresh_key


def added(payload_type: int = 0) -> port.LegAdded:
    stream = port.StreamPosition(ssrc=1, roc=0, seq=0, payload_type=payload_type)
    return port.LegAdded(leg="a", port=40000, payload_type=payload_type, stream=stream)


def test_who_has_an_address_speaks_from_it() -> None:
    line = ffmpeg.speaking(fresh_key(), added(8), "PCMA", "127.0.0.1:45000")
    assert line is not None
    assert "-c:a pcm_alaw -ar 8000 " in line
    assert line.endswith("'srtp://127.0.0.1:40000?rtcpport=40000&localport=45000'")


def test_who_has_none_speaks_from_anywhere() -> None:
    line = ffmpeg.speaking(fresh_key(), added(), "PCMU", None)
    assert line is not None
    assert line.endswith("'srtp://127.0.0.1:40000?rtcpport=40000'")


@pytest.mark.parametrize(
    ("remote", "mixer"), [("192.0.2.1:4000", "MIXER"), ("[2001:db8::1]:4000", "MIXER"), ("[::1]:4000", "[::1]")]
)
def test_from_another_machine_the_mixer_is_elsewhere(remote: str, mixer: str) -> None:
    assert f"'srtp://{mixer}:40000?" in str(ffmpeg.speaking(fresh_key(), added(), "PCMU", remote))


def test_the_rate_of_a_file_is_changed_before_it_is_cut_into_packets() -> None:
    line = ffmpeg.speaking(fresh_key(), added(111), "opus", None)
    assert line is not None
    assert "-af aresample=48000,asetnsamples=960,arealtime" in line


def test_a_description_says_where_to_listen() -> None:
    description = ffmpeg.listening(fresh_key(), added(111), "opus", "[::1]:4000")
    assert description is not None
    assert "c=IN IP6 ::1" in description
    assert "m=audio 4000 RTP/SAVP 111\na=rtpmap:111 opus/48000/2" in description


@pytest.mark.parametrize("change", [{"suite": "AEAD_AES_128_GCM"}, {"mki": "01"}])
def test_nothing_is_said_of_keys_that_ffmpeg_cannot_use(change: dict[str, str]) -> None:
    key = msgspec.structs.replace(fresh_key(), **change)
    assert ffmpeg.speaking(key, added(), "PCMU", None) is None
    assert ffmpeg.listening(key, added(), "PCMU", "192.0.2.1:4000") is None


def test_nothing_is_said_of_codecs_that_ffmpeg_does_not_send() -> None:
    assert ffmpeg.speaking(fresh_key(), added(112), "AMR", None) is None
