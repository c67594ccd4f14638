"""Legs whose keys come from a DTLS-SRTP handshake on the media port."""

from __future__ import annotations

import pytest

from mixer import port
from mixer.port import LegInsecure, LegSecured, PortError, Refusal
from tests.mixer.dtlsphone import NAMES, DtlsPhone, Peer, call, fingerprint
from tests.mixer.phone import tone
from tests.mixer.room import Room
from tests.tones import assert_hears

A_DB = -21.0
"""Level of a tone of amplitude 3000, dBFS."""
ROLES: tuple[port.DtlsRole, ...] = ("passive", "active")


def room_with_bob(**config: object) -> Room:
    """A conference in which somebody with ordinary keys says 600 Hz."""
    room = Room(**config)  # type: ignore[arg-type]
    room.create()
    room.join("bob", tone(600))
    return room


def assert_both_hear(room: Room, phone: DtlsPhone, ms: int = 1600) -> None:
    room.run(400)
    room.phones["bob"].forget()
    phone.forget()
    room.run(ms)
    assert_hears(phone.sound(), present={600}, absent={440}, seconds=1.0, sent_db=A_DB)
    assert_hears(room.phones["bob"].sound(), present={440}, absent={600}, seconds=1.0, sent_db=A_DB)
    assert not phone.refused
    room.check_tally()


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("profile", NAMES)
def test_both_hear_each_other_under_the_agreed_keys(role: port.DtlsRole, profile: str) -> None:
    room = room_with_bob()
    phone = call(room, "ann", tone(440), role=role, profiles=[profile])
    assert_both_hear(room, phone)
    (event,) = room.named(LegSecured)
    assert event == LegSecured(conference="c", leg="ann", suite=NAMES[profile], hash="sha-256")
    assert room.status("ann").suite == NAMES[profile]
    assert room.status("ann").address == phone.address
    assert not room.named(LegInsecure)
    assert (room.engine.handshakes.done, room.engine.handshakes.failed) == (1, 0)


def test_gcm_is_chosen_of_all_profiles() -> None:
    room = room_with_bob()
    call(room, "ann", profiles=list(NAMES))
    room.run(200)
    assert room.status("ann").suite == "AEAD_AES_128_GCM"


@pytest.mark.parametrize("role", ROLES)
def test_a_wrong_certificate_gets_an_alert_and_nothing_else(role: port.DtlsRole) -> None:
    room = room_with_bob()
    phone = call(room, "ann", tone(440), role=role, shows="mallory")
    room.run(1000)
    (event,) = room.named(LegInsecure)
    assert (event.conference, event.leg) == ("c", "ann")
    assert "handshake failed" in event.reason
    assert not room.named(LegSecured)
    to_ann = [sent.octets for sent in room.sent if sent.address == phone.address]
    assert {octets[0] for octets in to_ann} <= {20, 21, 22}
    assert any(octets[0] == 21 for octets in to_ann), "an alert"
    assert phone.peer is not None
    assert phone.peer.error
    assert not phone.heard
    assert_hears(room.phones["bob"].sound(), present=set(), absent={440}, seconds=0.9)
    room.check_tally()


def test_any_of_the_promised_fingerprints_will_do() -> None:
    room = room_with_bob()
    promised = (fingerprint("other"), fingerprint("ann", "sha-512"), fingerprint("ann", "sha-384"))
    phone = call(room, "ann", tone(440), promised=promised)
    assert_both_hear(room, phone)
    (event,) = room.named(LegSecured)
    assert event.hash == "sha-512"


def test_a_stranger_behind_nat_is_known_by_its_certificate() -> None:
    room = room_with_bob()
    other = call(room, "eve", known=False)
    other.peer = None
    phone = call(room, "ann", tone(440), remote="10.0.0.7:5004")
    assert_both_hear(room, phone)
    assert room.status("ann").address == phone.address
    assert room.status("eve").address == ""
    assert [event.leg for event in room.named(LegSecured)] == ["ann"]


def test_legs_of_one_certificate_are_told_apart_by_address() -> None:
    room = room_with_bob()
    promised = (fingerprint("ann"),)
    first = call(room, "ann", tone(440))
    second = call(room, "ann2", shows="ann", promised=promised)
    room.run(300)
    assert room.status("ann").address == first.address
    assert room.status("ann2").address == second.address


@pytest.mark.parametrize("own_port", [False, True])
@pytest.mark.parametrize("role", ROLES)
def test_a_leg_with_a_port_of_its_own(role: port.DtlsRole, own_port: bool) -> None:
    room = room_with_bob()
    phone = call(room, "ann", tone(440), role=role, own_port=own_port)
    assert_both_hear(room, phone)


@pytest.mark.parametrize(("role", "client"), [("passive", False), ("active", True)])
def test_two_ends_in_one_role_never_meet(role: port.DtlsRole, client: bool) -> None:
    room = room_with_bob(dtls_timeout_s=1.0)
    phone = call(room, "ann", tone(440), role=role, client=client)
    room.run(1500)
    assert [event.leg for event in room.named(LegInsecure)] == ["ann"]
    assert not phone.heard
    assert not room.named(LegSecured)


def test_no_common_profile_is_told() -> None:
    room = room_with_bob()
    phone = call(room, "ann", tone(440), profiles=())
    room.run(300)
    (event,) = room.named(LegInsecure)
    assert "use_srtp" in event.reason
    assert not phone.heard


def test_nobody_comes_in_time() -> None:
    room = room_with_bob(dtls_timeout_s=2.0)
    phone = call(room, "ann", tone(440))
    peer, phone.peer = phone.peer, None
    room.run(1900)
    assert not room.named(LegInsecure)
    room.run(3000)
    assert len(room.named(LegInsecure)) == 1, "told once"
    assert not [sent for sent in room.sent if sent.address == phone.address]
    phone.peer = peer
    assert_both_hear(room, phone)  # better late than never


@pytest.mark.parametrize("early", ["clear RTP", "SRTP of another"])
def test_media_before_the_handshake_is_not_accepted(early: str) -> None:
    room = room_with_bob()
    phone = call(room, "ann", known=True, ssrc=77)
    phone.ssrc = 77
    packet = phone.rtp(bytes(160))
    phone.peer = None
    if early != "clear RTP":
        phone.uplink = room.phones["bob"].uplink
        packet = phone.seal(packet)
    assert room.inject(packet, phone.address) in ("unknown_source", "not_sending")
    room.run(200)
    assert not [sent for sent in room.sent if sent.address == phone.address]
    assert room.status("ann").address == ""


def test_a_direction_that_was_changed_meanwhile_is_in_force_afterwards() -> None:
    room = room_with_bob()
    phone = call(room, "ann", tone(440), direction="inactive")
    room.apply(port.LegModify(leg="ann", direction="recvonly"))
    room.run(1500)
    assert room.status("ann").direction == "recvonly"
    assert phone.heard
    assert_hears(room.phones["bob"].sound(), present=set(), absent={440}, seconds=1.0)
    room.apply(port.LegModify(leg="ann", direction="sendrecv"))
    assert_both_hear(room, phone)


def test_an_address_signalled_late_is_called() -> None:
    room = room_with_bob()
    phone = call(room, "ann", tone(440), role="active", remote="192.0.2.99:9000")
    room.run(100)
    assert not phone.told
    room.apply(port.LegModify(leg="ann", remote=phone.address))
    assert_both_hear(room, phone)


def test_removed_during_the_handshake() -> None:
    for role in ROLES:
        room = room_with_bob()
        phone = call(room, "ann", tone(440), role=role)
        for _ in range(2):
            room.step()
        assert phone.told
        room.apply(port.LegRemove(leg="ann"))
        room.sent.clear()
        room.run(500)
        assert not [sent for sent in room.sent if sent.address == phone.address and sent.octets[0] not in (21, 22)]
        assert not room.named(LegSecured)
        assert not room.named(LegInsecure)
        room.check_tally()


def test_after_a_restart_a_new_handshake_is_needed() -> None:
    room = room_with_bob()
    phone = call(room, "ann", tone(440))
    room.run(300)
    before = room.engine.identity.fingerprint
    room.revive()
    assert room.engine.identity.fingerprint != before
    del room.phones["ann"], room.phones["bob"]
    room.create()
    room.join("bob", tone(600))
    later = call(room, "ann", tone(440))
    later.address = phone.address
    assert_both_hear(room, later)


def test_a_leg_that_is_removed_leaves_nothing_behind() -> None:
    room = room_with_bob()
    sessions = room.engine._state.sessions.count
    for number in range(5):
        call(room, f"ann{number}", tone(440), rtcp_mux=number % 2 == 0)
        room.run(200)
        room.apply(port.LegRemove(leg=f"ann{number}"))
        del room.phones[f"ann{number}"]
    assert len(room.named(LegSecured)) == 5
    assert room.engine._state.sessions.count == sessions
    assert room.inject(Peer("ann1", client=True).hello(), "192.0.2.50:5000") == "dtls", "nobody is expected"


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"clear": True}, "leave rx, tx, clear and uplink away"),
        ({"uplink": "group", "ssrc": 5}, "leave rx, tx, clear and uplink away"),
        ({"keying": "group"}, "no group key"),
        ({"dtls": port.Dtls(role="active", fingerprints=(fingerprint("ann"),))}, "needs `remote`"),
        ({"dtls": port.Dtls(fingerprints=(port.Fingerprint(hash="sha-512", value=fingerprint("ann").value),))}, "64"),
    ],
)
def test_what_excludes_each_other_is_refused(fields: dict[str, object], text: str) -> None:
    room = room_with_bob()
    wish: dict[str, object] = {"dtls": port.Dtls(fingerprints=(fingerprint("ann"),))} | fields
    with pytest.raises(PortError, match=text) as refused:
        room.apply(port.LegAdd(conference="c", leg="ann", **wish))  # type: ignore[arg-type]
    assert refused.value.refusal is Refusal.INVALID
    assert not room.engine.has_leg("ann")


def test_keys_of_both_kinds_are_refused() -> None:
    room = room_with_bob()
    wish = port.Dtls(fingerprints=(fingerprint("ann"),))
    with pytest.raises(PortError, match="its handshake"):
        room.apply(port.LegAdd(conference="c", leg="ann", dtls=wish, rx=room.key("x"), tx=room.key("y")))
