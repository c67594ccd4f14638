"""Rates of mixes that follow who is in, and codecs that follow the mix."""

from __future__ import annotations

from tests.mixer.phone import tone
from tests.mixer.room import Room
from tests.mixer.test_engine_codecs import FINE
from tests.mixer.test_engine_sound import hear


def test_a_rate_follows_its_members_in_a_pause() -> None:
    room = Room()
    room.create("unique", rate="auto")
    ann = room.join("ann", tone(437.0))
    room.run(400)
    assert room.show().rate == 8000
    room.join("bob", codec="opus", direction="recvonly", rx=None)
    room.run(1000)
    assert room.show().rate == 8000, "somebody talks"
    ann.voice = None
    room.run(1000)
    assert room.show().rate == 48000
    ann.voice = tone(437.0)
    room.run(1000)
    assert abs(hear(room.phones["bob"], 437.0)) < 1
    room.leave("bob")
    ann.voice = None
    room.run(1000)
    assert room.show().rate == 8000


def test_a_rate_is_changed_at_last_if_there_is_no_pause() -> None:
    room = Room()
    room.create("unique", rate="auto")
    room.join("ann", tone(437.0))
    room.join("cid", tone(613.0, 16000), codec="G722")
    ear = room.join("ear", direction="recvonly", rx=None)
    room.run(7000)
    assert room.show().rate == 16000
    assert abs(hear(ear, 437.0)) < 1
    assert abs(hear(ear, 613.0)) < 1


def test_an_opus_leg_is_decoded_at_the_rate_of_its_conference() -> None:
    room = Room()
    room.create("unique", rate=16000)
    room.join("ann", tone(437.0, 48000), codec="opus", opus=FINE)
    ear = room.join("ear", codec="opus", opus=FINE, direction="recvonly", rx=None)
    room.run(1000)
    assert abs(hear(ear, 437.0)) < 1
