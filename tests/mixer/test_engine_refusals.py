"""Every command that is refused: with its reason, and nothing has changed."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from mixer import port
from mixer.port import (
    ConferenceCreate,
    ConferenceDestroy,
    ConferenceModify,
    ConferenceShow,
    Key,
    KeyAbort,
    KeyActivate,
    KeyPrepare,
    LegAdd,
    LegModify,
    LegRemove,
    PlayStart,
    PlayStop,
    PortError,
    RecordStart,
    RecordStop,
    Refusal,
    Tone,
)
from mixer.secret import Secret
from tests.mixer.phone import tone
from tests.mixer.room import Room

Case = tuple[Refusal, Callable[[Room], port.Command]]


def key(room: Room, **fields: object) -> Key:
    return room.key("fresh", **fields)  # type: ignore[arg-type]


def spoilt(octets: bytes, **fields: object) -> Key:
    return Key(secret=Secret(octets), **fields)  # type: ignore[arg-type]


def add(room: Room, conference: str = "unique", **fields: object) -> LegAdd:
    """A leg that would be taken, but for `fields`."""
    whole = {"rx": key(room), "tx": key(room, mki="beef" if conference == "mki" else "")} | fields
    return LegAdd(conference=conference, leg="new", **whole)  # type: ignore[arg-type]


R = Refusal
TONE = Tone(ms=1000)
CASES: dict[str, Case] = {
    "no such conference: destroy": (R.UNKNOWN_CONFERENCE, lambda r: ConferenceDestroy(conference="x")),
    "no such conference: modify": (R.UNKNOWN_CONFERENCE, lambda r: ConferenceModify(conference="x", max_talkers=2)),
    "no such conference: show": (R.UNKNOWN_CONFERENCE, lambda r: ConferenceShow(conference="x")),
    "no such conference: leg": (R.UNKNOWN_CONFERENCE, lambda r: add(r, "x")),
    "no such conference: prepare": (R.UNKNOWN_CONFERENCE, lambda r: KeyPrepare(conference="x", key=key(r))),
    "no such conference: activate": (R.UNKNOWN_CONFERENCE, lambda r: KeyActivate(conference="x", epoch=1)),
    "no such conference: abort": (R.UNKNOWN_CONFERENCE, lambda r: KeyAbort(conference="x", epoch=1)),
    "no such leg: modify": (R.UNKNOWN_LEG, lambda r: LegModify(leg="x", mute=True)),
    "no such leg: remove": (R.UNKNOWN_LEG, lambda r: LegRemove(leg="x")),
    "no such epoch: activate": (R.UNKNOWN_EPOCH, lambda r: KeyActivate(conference="mki", epoch=9)),
    "no such epoch: active already": (R.UNKNOWN_EPOCH, lambda r: KeyActivate(conference="mki", epoch=1)),
    "no such epoch: abort": (R.UNKNOWN_EPOCH, lambda r: KeyAbort(conference="mki", epoch=9)),
    "conference exists": (R.DUPLICATE_CONFERENCE, lambda r: ConferenceCreate(conference="unique")),
    "leg exists": (R.DUPLICATE_LEG, lambda r: LegAdd(conference="unique", leg="ann", rx=key(r), tx=key(r))),
    "leg exists elsewhere": (R.DUPLICATE_LEG, lambda r: LegAdd(conference="ssrc", leg="ann", rx=key(r))),
    "short rx": (R.BAD_KEY, lambda r: add(r, rx=spoilt(bytes(range(29))))),
    "long tx": (R.BAD_KEY, lambda r: add(r, tx=spoilt(bytes(range(31))))),
    "rx of another suite": (R.BAD_KEY, lambda r: add(r, rx=spoilt(bytes(range(30)), suite="AEAD_AES_256_GCM"))),
    "zero tx": (R.BAD_KEY, lambda r: add(r, tx=spoilt(bytes(30)))),
    "tx of one octet": (R.BAD_KEY, lambda r: add(r, tx=spoilt(b"\x5a" * 30))),
    "rx is tx": (R.BAD_KEY, lambda r: add(r, rx=spoilt(bytes(range(30))), tx=spoilt(bytes(range(30))))),
    "short group key": (R.BAD_KEY, lambda r: KeyPrepare(conference="ssrc", key=spoilt(b"12", epoch=2))),
    "short first key": (R.BAD_KEY, lambda r: ConferenceCreate(conference="x", key=spoilt(b"12"))),
    "short uplink key": (R.BAD_KEY, lambda r: ConferenceCreate(conference="x", uplink_key=spoilt(b"12"))),
    "group key again": (R.KEY_REUSED, lambda r: KeyPrepare(conference="ssrc", key=again(r, "ssrc/1", epoch=2))),
    "group key in another": (R.KEY_REUSED, lambda r: ConferenceCreate(conference="x", key=again(r, "mki/1"))),
    "tx again": (R.KEY_REUSED, lambda r: add(r, tx=again(r, "tx:ann"))),
    "tx is a group key": (R.KEY_REUSED, lambda r: add(r, tx=again(r, "ssrc/1"))),
    "group key is a tx": (R.KEY_REUSED, lambda r: KeyPrepare(conference="ssrc", key=again(r, "tx:ann", epoch=2))),
    "group leg without key": (R.KEY_MISSING, lambda r: add(r, keying="group")),
    "no rx": (R.KEY_MISSING, lambda r: add(r, rx=None)),
    "no tx": (R.KEY_MISSING, lambda r: add(r, tx=None)),
    "no keys at all": (R.KEY_MISSING, lambda r: add(r, rx=None, tx=None)),
    "no tx under mki": (R.KEY_MISSING, lambda r: add(r, "mki", tx=None)),
    "alone under mki without tx": (
        R.KEY_MISSING,
        lambda r: add(r, "mki", direction="recvonly", rx=None, tx=None, alone=True),
    ),
    "sent away under mki without tx": (R.KEY_MISSING, lambda r: LegModify(leg="hush", mute=True, alone=True)),
    "no uplink key": (R.KEY_MISSING, lambda r: add(r, "ssrc", uplink="group", ssrc=7)),
    "speak without rx": (R.KEY_MISSING, lambda r: LegModify(leg="ear", direction="sendrecv")),
    "listen without tx": (R.KEY_MISSING, lambda r: LegModify(leg="mouth", direction="sendrecv")),
    "epoch of before": (R.BAD_EPOCH, lambda r: KeyPrepare(conference="ssrc", key=key(r, epoch=1))),
    "other boot: conference": (R.BAD_BOOT, lambda r: ConferenceCreate(conference="x", boot="yesterday")),
    "other boot: leg": (R.BAD_BOOT, lambda r: add(r, boot="yesterday")),
    "other boot: key": (R.BAD_BOOT, lambda r: KeyPrepare(conference="ssrc", key=key(r, epoch=2), boot="yesterday")),
    "SSRC of another": (R.SSRC_CONFLICT, lambda r: add(r, ssrc=r.phones["ann"].ssrc)),
    "SSRC of the mixer": (R.SSRC_CONFLICT, lambda r: add(r, ssrc=r.phones["ann"].heard[0].packet.ssrc)),
    "clear and keyed": (R.INVALID, lambda r: add(r, clear=True)),
    "clear and group": (R.INVALID, lambda r: add(r, clear=True, rx=None, tx=None, keying="group")),
    "group uplink undeclared": (R.INVALID, lambda r: add(r, "ssrc", uplink="group")),
    "mki without MKI": (R.INVALID, lambda r: ConferenceCreate(conference="x", style="mki", key=key(r))),
    "key without MKI": (R.INVALID, lambda r: KeyPrepare(conference="mki", key=key(r, epoch=2))),
    "MKI of another length": (R.INVALID, lambda r: KeyPrepare(conference="mki", key=key(r, epoch=2, mki="01"))),
    "tx MKI of another length": (R.INVALID, lambda r: add(r, "mki", tx=key(r, mki="beef01"))),
    "group key with ROC": (R.INVALID, lambda r: KeyPrepare(conference="ssrc", key=key(r, epoch=2, roc=1))),
    "PCMU at 16 kHz": (R.INVALID, lambda r: add(r, rate=16000)),
    "too long a packet": (R.INVALID, lambda r: add(r, codec="L16", rate=48000, ptime=60)),
    "a payload type of RTCP": (R.INVALID, lambda r: add(r, payload_type=72)),
    "keys and sound of one type": (R.INVALID, lambda r: add(r, dtmf=0)),
    "keys and sound of one type, to the leg": (R.INVALID, lambda r: add(r, dtmf=101, dtmf_out=0)),
    "keys and noise of one type, to the leg": (R.INVALID, lambda r: add(r, comfort_noise=13, dtmf_out=13)),
    "no address": (R.INVALID, lambda r: add(r, remote="300.1.1.1:5")),
    "no port": (R.INVALID, lambda r: add(r, remote="192.0.2.1:0")),
    "moved nowhere": (R.INVALID, lambda r: LegModify(leg="ann", remote="192.0.2.1:65535", mute=True)),
    "no room for legs": (R.LIMIT, add),
    "no room for conferences": (R.LIMIT, lambda r: ConferenceCreate(conference="x", key=key(r))),
    "no such play": (R.UNKNOWN_PLAY, lambda r: PlayStop(play="x")),
    "a play of that name": (
        R.DUPLICATE_PLAY,
        lambda r: PlayStart(play="pause", legs=("ann",), tones=(TONE,)),
    ),
    "no such recording": (R.UNKNOWN_RECORD, lambda r: RecordStop(record="x")),
    "a recording of that name": (R.DUPLICATE_RECORD, lambda r: RecordStart(record="tape", leg="ann", file="x")),
    "no file": (R.BAD_FILE, lambda r: PlayStart(play="x", conference="mki", file="x.wav")),
    "nobody to hear it": (R.INVALID, lambda r: PlayStart(play="x", tones=(TONE,))),
    "nothing to record": (R.INVALID, lambda r: RecordStart(record="x", file="x")),
    "draining: conference": (R.DRAINING, lambda r: ConferenceCreate(conference="x")),
    "draining: leg": (R.DRAINING, add),
    "draining: key": (R.DRAINING, lambda r: KeyPrepare(conference="ssrc", key=key(r, epoch=2))),
}


def again(room: Room, name: str, epoch: int = 1) -> Key:
    return Key(secret=Secret(room.secrets[name]), epoch=epoch)


@pytest.fixture
def room(request: pytest.FixtureRequest) -> Room:
    """Three conferences with legs that talk; as full, or as draining, as the case needs."""
    name = request.node.callspec.params["name"]
    full = CASES[name][0] == Refusal.LIMIT
    room = Room(max_legs=6 if full else 16)
    for mode in ("unique", "ssrc", "mki"):
        room.create(mode, mode)
    room.join("ann", tone(437.0), hall="unique")
    room.join("ear", hall="ssrc", direction="recvonly", rx=None)
    room.join("mouth", hall="unique", direction="sendonly", tx=None)
    room.join("hush", hall="mki", direction="recvonly", rx=None, tx=None)
    room.join("bob", tone(1013.0), hall="mki", codec="PCMA")
    room.apply(PlayStart(play="pause", conference="unique", tones=(TONE,), times=0))
    room.apply(RecordStart(record="tape", conference="unique", file="tape.wav"))
    room.run(100)
    if full:
        room.join("last", hall="ssrc")
        for number in range(3):
            room.create("unique", f"more{number}")
    if CASES[name][0] == Refusal.DRAINING:
        room.engine.refuse_newcomers()
    return room


def state(room: Room) -> object:
    return [room.show(hall) for hall in room.engine_halls()]


@pytest.mark.parametrize("name", CASES)
def test_refused_and_nothing_changed(name: str, room: Room) -> None:
    refusal, command = CASES[name]
    before = state(room)
    counts = room.engine.legs_count, room.engine.conferences_count
    order = command(room)
    with pytest.raises(PortError) as caught:
        room.apply(order)
    assert caught.value.refusal == refusal
    assert len(str(caught.value)) > 10, "a message for people"
    assert state(room) == before
    assert (room.engine.legs_count, room.engine.conferences_count) == counts
    assert room.engine.events() == []
    for phone in room.phones.values():
        phone.forget()
    room.run(100)
    for phone in room.phones.values():
        assert not phone.refused
        assert len(phone.heard) == (0 if phone.name == "mouth" else 5)


def test_every_refusal_has_a_case() -> None:
    """But one: what is not installed is made so in `test_engine_denoise`."""
    assert {refusal for refusal, _ in CASES.values()} == set(Refusal) - {Refusal.UNAVAILABLE}


def test_a_refused_key_may_be_used_where_it_fits() -> None:
    """Nothing was sent under it: the ledger has not seen it."""
    room = Room()
    room.create("mki")
    good = room.key("k", mki="0909", epoch=5)
    with pytest.raises(PortError):
        room.apply(KeyPrepare(conference="c", key=Key(secret=Secret(good.secret.reveal()), epoch=5)))
    room.apply(KeyPrepare(conference="c", key=good))
    assert room.show().prepared == [5]


def test_the_right_boot() -> None:
    room = Room()
    room.apply(ConferenceCreate(conference="c", boot=room.engine.boot_id))
    assert room.engine_halls() == ["c"]


def test_modify_changes_what_it_names() -> None:
    room = Room()
    room.create("ssrc")
    room.join("ann")
    room.apply(ConferenceModify(conference="c", max_talkers=3, keying="unique"))
    room.apply(LegModify(leg="ann", mute=True, direction="recvonly"))
    shown = room.show()
    assert (shown.max_talkers, shown.keying) == (3, "unique")
    assert (shown.legs[0].muted, shown.legs[0].direction, shown.legs[0].keying) == (True, "recvonly", "group")
    room.apply(LegModify(leg="ann"))
    room.apply(ConferenceModify(conference="c"))
    assert room.show() == shown


def test_pages_of_a_large_conference() -> None:
    room = Room()
    room.create()
    for number in range(7):
        room.join(f"p{number}")
    whole = room.show()
    pages = []
    for first in range(0, 9, 3):
        page = room.apply(ConferenceShow(conference="c", first=first, limit=3))
        assert isinstance(page, port.ConferenceStatus)
        assert page.legs_count == 7
        pages += page.legs
    assert pages == whole.legs
