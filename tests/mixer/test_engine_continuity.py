"""Nobody who listens to a steady tone hears that others come, go, or that the key is changed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from mixer.port import Opus
from tests import codecs
from tests.mixer.phone import Phone, tone
from tests.mixer.room import MODES, Room
from tests.mixer.test_engine_codecs import residue_db
from tests.mixer.test_engine_sound import SPOKEN_DB
from tests.tones import level_db

HERTZ = 437.0
CODECS = ["PCMU", "G722", "opus"]
WARM_MS = 1000
"""What codecs need to settle on a tone."""
SEAM_MS = 100
"""So much before a change is judged with what comes after."""

every_codec = pytest.mark.parametrize("codec", CODECS)


class OneEar(dict[int, Any]):
    """One decoder for all SSRCs, as telephones have it: what the encoder does at a change of SSRC is heard."""

    def __init__(self, codec: str) -> None:
        super().__init__()
        self._ear = codecs.ear(codec)

    def __missing__(self, ssrc: int) -> Any:
        return self._ear

    def __contains__(self, ssrc: object) -> bool:
        return True


def listening(mode: str, codec: str) -> tuple[Room, Phone, float]:
    """Ann says a tone and Bob has listened for a while; what of it is not the tone, dB, in the worst 20 ms."""
    rate = codecs.RATES[codec]
    room = Room()
    room.create(mode, rate=rate)
    room.join("ann", tone(HERTZ, rate), **fields(room, mode, codec, "ann"))
    bob = room.join("bob", **fields(room, mode, codec, "bob"))
    bob.ears = OneEar(codec)
    room.run(WARM_MS)
    bob.forget()
    room.run(1000)
    steady = float(residue_db(bob.sound(), HERTZ, rate).max())
    del bob.heard[: -SEAM_MS // 20]
    return room, bob, steady


def fields(room: Room, mode: str, codec: str, name: str) -> dict[str, Any]:
    """What a leg is added with: in style `ssrc` with a key of its own, too, to be bridged to."""
    own = {"tx": room.key(f"tx:{name}")} if mode == "ssrc" else {}
    return {"codec": codec, "opus": Opus(bitrate=64000) if codec == "opus" else None} | own


def goes_on(room: Room, bob: Phone, steady: float, ms: int = 1000) -> None:
    """Bob hears the tone as loud as ever and nothing else, in every window since shortly before the last look."""
    room.run(ms)
    sound = bob.sound()
    residue = residue_db(sound, HERTZ, bob.rate)
    assert residue.max() < steady + 6, residue.round(0)
    width = bob.rate // 50
    levels = [level_db(sound[at : at + 2 * width], HERTZ, rate=bob.rate) for at in range(0, len(sound) - width, width)]
    assert max(abs(level - SPOKEN_DB) for level in levels) < 1
    assert len(sound) == (ms + SEAM_MS) * bob.rate // 1000
    assert not bob.refused
    del bob.heard[: -SEAM_MS // 20]


@every_codec
@pytest.mark.parametrize("mode", MODES)
def test_nobody_hears_who_joins_or_leaves(mode: str, codec: str) -> None:
    room, bob, steady = listening(mode, codec)
    for name, joins in (("silent", {}), ("narrow", {"codec": "PCMA", "opus": None})):
        room.join(name, **(fields(room, mode, codec, name) | joins))
        goes_on(room, bob, steady)
        room.leave(name)
        goes_on(room, bob, steady)


def switch(room: Room, bob: Phone, steady: float) -> None:
    """The next key."""
    room.prepare()
    goes_on(room, bob, steady, 100)
    room.activate()


def bridge(room: Room, bob: Phone, steady: float) -> None:
    """Somebody leaves: everybody is under a key of its own from the next packet on, until the next key is there."""
    room.leave("cid", bridge=True)
    goes_on(room, bob, steady, 500)
    switch(room, bob, steady)
    goes_on(room, bob, steady, 100)
    room.bridge(on=False)


@every_codec
@pytest.mark.parametrize("mode", ["ssrc", "mki"])
@pytest.mark.parametrize("change", [switch, bridge])
def test_nobody_hears_a_change_of_keys(mode: str, codec: str, change: Callable[[Room, Phone, float], None]) -> None:
    room, bob, steady = listening(mode, codec)
    room.join("cid", **fields(room, mode, codec, "cid"))
    for _ in range(2 if change is switch else 1):
        change(room, bob, steady)
        goes_on(room, bob, steady)


@every_codec
def test_a_click_or_a_gap_would_be_found(codec: str) -> None:
    """The judge is not deaf: half a millisecond of silence is far above what it allows."""
    room, bob, steady = listening("unique", codec)
    room.run(500)
    sound = bob.sound().copy()
    middle = len(sound) // 2
    sound[middle : middle + bob.rate // 2000] = 0
    assert residue_db(sound, HERTZ, bob.rate).max() > steady + 10
