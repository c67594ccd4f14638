"""Whatever members send as sound, keys or noise: nothing raises, each packet has one fate, and others hear as before.

Legs of every codec, at every rate of mix, in conferences of their own; beside them one in which nothing happens.
"""

from __future__ import annotations

from functools import cache
from typing import Any, Final
from zlib import crc32

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from mixer.batch import STRIDE
from mixer.codecs import Coder, find
from mixer.port import Amr
from tests.mixer.net import Datagram
from tests.mixer.packets import mutated
from tests.mixer.phone import Phone, tone
from tests.mixer.room import Room
from tests.mixer.test_engine_sound import hear

NOISE, KEYS = 13, 101
RATES: Final = (8000, 16000, 48000)
CODECS: Final = ("PCMU", "L16", "G722", "opus", "AMR", "AMR-WB")
FATES: Final = {
    "accepted",
    "bad_padding",
    "bad_payload",
    "duplicate",
    "flood",
    "late",
    "overload",
    "oversized",
    "replayed",
    "ssrc_conflict",
    "unknown_payload_type",
    "unknown_source",
}


@cache
def standing() -> tuple[Room, list[Phone]]:
    """The room, and who sends what it likes; nobody listens to what those are sent."""
    room = Room(max_legs=64)
    room.create("unique", "calm", rate=16000)
    room.join("calm/talks", tone(437.0), hall="calm")
    room.join("calm/hears", hall="calm")
    rogues = []
    for hall in (*map(str, RATES), "auto"):
        room.create("unique", hall, rate="auto" if hall == "auto" else int(hall))
        for codec in CODECS:
            extra: dict[str, Any] = {"amr": Amr(octet_aligned=True)} if codec == "AMR" and hall == "16000" else {}
            for name, clear in ((f"{hall}/{codec}/clear", True), (f"{hall}/{codec}", False)):
                if clear and codec not in ("opus", "G722"):
                    continue
                clock = {"L16": 16000}.get(codec)
                phone = room.join(
                    name, hall=hall, codec=codec, clock=clock, clear=clear, dtmf=KEYS, comfort_noise=NOISE, **extra
                )
                rogues.append(room.phones.pop(name))
                assert rogues[-1] is phone
    room.run(500)
    return room, rogues


@cache
def genuine(codec: str) -> bytes:
    """A payload of 20 ms."""
    coder = find(codec)
    if not isinstance(coder, Coder):
        return bytes(range(160)) * (4 if codec == "L16" else 1)
    rate = coder.sampling(coder.clocks[0], 48000)
    sound = np.random.default_rng(1).integers(-3000, 3000, rate // 50).astype(np.int16)
    return coder.encoder(rate, 20, None).encode(sound)


@st.composite
def payloads(draw: st.DrawFn, codec: str) -> bytes:
    kind = draw(st.integers(0, 4))
    if kind == 0:
        return draw(st.binary(max_size=40))
    if kind == 1:
        return bytes([draw(st.integers(0, 255))]) * draw(st.integers(0, STRIDE - 100))
    if kind == 2:
        # Opus of many frames, AMR with a long table of contents, or noise of any length.
        head = bytes([draw(st.integers(0, 255)), draw(st.integers(0, 255))])
        return head + bytes(draw(st.integers(0, 400)))
    return genuine(codec) if kind == 3 else draw(mutated(genuine(codec)))


@st.composite
def keys(draw: st.DrawFn) -> bytes:
    blocks = draw(st.lists(st.tuples(st.integers(0, 20), st.integers(0, 255), st.integers(0, 0xFFFF)), max_size=5))
    octets = b"".join(bytes([event, flags]) + duration.to_bytes(2) for event, flags, duration in blocks)
    return octets + draw(st.binary(max_size=3))


@st.composite
def said(draw: st.DrawFn, phone: Phone) -> list[bytes]:
    """A packet, not always once, and not always next in its sequence or its time."""
    kind = draw(st.sampled_from([phone.payload_type] * 5 + [NOISE, KEYS, 127]))
    unit = phone.clock // 50
    step = draw(st.sampled_from([unit] * 6 + [0, 1, -unit, 3 * unit, -30 * unit, 100 * unit, 1 << 31, (1 << 31) - 1]))
    if draw(st.integers(0, 9)) == 0:
        phone.timestamp = draw(st.sampled_from([0, 0xFFFF_FFFF, -unit & 0xFFFF_FFFF, draw(st.integers(0, 2**32 - 1))]))
    phone.timestamp = phone.timestamp + step & 0xFFFF_FFFF
    phone.seq = phone.seq + draw(st.sampled_from([0] * 8 + [-1, 1, 50, 4000])) & 0xFFFF
    if draw(st.integers(0, 19)) == 0:
        # Mostly one of its own.
        phone.ssrc = draw(st.sampled_from([1, *[crc32(phone.name.encode()) & 0xFFFF_FFF0 | k for k in range(6)]]))
        phone.seq = draw(st.integers(0, 0xFFFF))
    octets = draw(keys()) if kind == KEYS else draw(payloads(phone.codec))
    phone.payload_type, own = kind, phone.payload_type
    phone.level_in, phone.claim = draw(st.sampled_from([0, 0, 1])), draw(st.sampled_from([0, 30, 127]))
    sealed = phone.seal(phone.rtp(octets))
    phone.payload_type = own
    return [sealed] * draw(st.sampled_from([1, 1, 1, 2]))


@settings(max_examples=120)
@given(st.data())
def test_whatever_members_send_nothing_raises_and_others_hear_as_before(data: st.DataObject) -> None:
    room, rogues = standing()
    before, received = room.engine.tally.drops(), room.engine.tally.received
    sent = 0
    listener = room.phones["calm/hears"]
    listener.forget()
    for _ in range(data.draw(st.integers(1, 6))):
        batch = []
        for phone in data.draw(st.lists(st.sampled_from(rogues), max_size=12)):
            batch += [(octets, phone.address, phone.local) for octets in data.draw(said(phone))]
        batch = data.draw(st.permutations(batch)) if data.draw(st.booleans()) else batch
        room.arrive([Datagram(room.now_ns, n, *packet) for n, packet in enumerate(batch)])
        sent += len(batch)
        room.step()
    after = room.engine.tally.drops()
    assert {name for name in after if after[name] != before.get(name, 0)} <= FATES
    assert room.engine.tally.received - received >= sent
    room.check_tally()
    room.run(200)
    steps = {b.packet.seq - a.packet.seq & 0xFFFF for a, b in zip(listener.heard, listener.heard[1:], strict=False)}
    assert steps == {1}
    assert abs(hear(listener, 437.0, 200)) < 1
