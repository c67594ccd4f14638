"""The gate: who calls, by which proof, and what is no proof."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pytest
from sipmessage import Request, Response

from control.focus.dialled import Dialled
from control.focus.entry import Entry, caller
from control.focus.identity import Challenge, Gate, Identity, Refused
from control.focus.settings import LimitSettings, Proof, RoomSettings, TrustSettings
from control.sip.digest import Credentials
from control.sip.flows import Flow
from control.sip.message import Envelope, parse
from mixer.secret import Secret

URI = "sip:room@192.0.2.1"


@dataclass
class Asking:
    """A request that has come in, as far as the gate looks at it."""

    envelope: Envelope
    flow: Flow

    @property
    def request(self) -> Request:
        return self.envelope.request

    def header(self, name: str) -> str | None:
        return self.request.headers.get(name)


def asking(
    sender: str = "<sip:ann@example.net>", headers: Mapping[str, str] | None = None, names: tuple[str, ...] = ()
) -> Asking:
    fields = {
        "Via": "SIP/2.0/UDP 192.0.2.9;branch=z9hG4bKa",
        "From": f"{sender};tag=a",
        "To": f"<{URI}>",
        "Call-ID": "a",
        "CSeq": "1 INVITE",
        "Max-Forwards": "70",
        "Contact": "<sip:ann@192.0.2.9>",
        **(headers or {}),
    }
    lines = [f"INVITE {URI} SIP/2.0", *(f"{name}: {said}" for name, said in fields.items())]
    envelope = parse(("\r\n".join(lines) + "\r\nContent-Length: 0\r\n\r\n").encode())
    flow = Flow("tls" if names else "udp", ("192.0.2.1", 5060), ("192.0.2.9", 5060), frozenset(names))
    return Asking(envelope, flow)


def gate(*peers: str, callers: Proof = "none", users: bool = True) -> Gate:
    passwords = {"ann": Secret(b"sesame")} if users else {}
    return Gate(TrustSettings(callers=callers, peers=peers), "example.net", passwords)


def judged(of: Gate, asked: Asking, wanted: Proof | None = None, now: float = 0.0) -> Identity:
    return of.judge(asked, wanted, now)  # type: ignore[arg-type]


def credentials(of: Gate, user: str = "ann", password: str = "sesame", now: float = 0.0) -> dict[str, str]:
    """What answers the challenge of this gate."""
    with pytest.raises(Challenge) as challenge:
        judged(of, asking(), "digest", now)
    response = Response(401, "Unauthorized")
    for name, value in challenge.value.headers:
        response.headers.add(name, value)
    return dict(Credentials(user, password).answer(response, "INVITE", URI))


def test_nothing_is_shown_and_nothing_wanted() -> None:
    assert judged(gate(), asking('"Ann" <sip:ann@example.net;x=1?y>')) == Identity("sip:ann@example.net", "Ann")


def test_a_password_counts_once() -> None:
    at = gate()
    shown = credentials(at)
    assert judged(at, asking(headers=shown), "digest") == Identity("sip:ann@example.net", proof="digest")
    with pytest.raises(Challenge):
        judged(at, asking(headers=shown), "digest")


def test_a_password_for_another_request() -> None:
    at = gate()
    shown = {name: value.replace(URI, "sip:other@192.0.2.1") for name, value in credentials(at).items()}
    with pytest.raises(Challenge):
        judged(at, asking(headers=shown), "digest")


def test_a_challenge_grows_old() -> None:
    at = gate()
    shown = credentials(at)
    with pytest.raises(Challenge) as again:
        judged(at, asking(headers=shown), "digest", now=10_000.0)
    assert all("stale=true" in value for _, value in again.value.headers)


def test_a_password_under_a_name_of_ones_own() -> None:
    at = gate()
    shown = credentials(at)
    with pytest.raises(Refused) as refusal:
        judged(at, asking("<sip:eve@example.net>", shown), "digest")
    assert refusal.value.status == 403


def test_a_password_and_no_name() -> None:
    at = gate()
    identity = judged(at, asking("<sip:anonymous@anonymous.invalid>", credentials(at)), "digest")
    assert identity == Identity("sip:ann@example.net", proof="digest", anonymous=True)


def test_without_passwords_there_is_no_challenge() -> None:
    with pytest.raises(Refused) as refusal:
        judged(gate(users=False), asking(), "digest")
    assert refusal.value.status == 403


@pytest.mark.parametrize("wanted", ["digest", "certificate"])
def test_a_certificate_is_more_than_a_password(wanted: Proof) -> None:
    assert judged(gate(), asking(names=("ann",)), wanted).proof == "certificate"


def test_a_password_is_less_than_a_certificate() -> None:
    at = gate()
    with pytest.raises(Refused):
        judged(at, asking(headers=credentials(at)), "certificate")


def test_the_settings_say_what_is_wanted_if_the_room_does_not() -> None:
    with pytest.raises(Challenge):
        judged(gate(callers="digest"), asking())
    assert judged(gate(callers="digest"), asking(), "none").proof == "none"


@pytest.mark.parametrize("peer", ["192.0.2.9", "proxy.example"])
def test_the_word_of_a_peer(peer: str) -> None:
    word = {"P-Asserted-Identity": '"B, ob" <sip:bob@example.org;user=phone>'}
    asked = asking(headers=word, names=("proxy.example",))
    assert judged(gate(peer), asked, "digest") == Identity("sip:bob@example.org", "B, ob", "asserted")
    with pytest.raises(Refused):
        judged(gate("192.0.2.8"), asked)


@pytest.mark.parametrize("word", ["", ",", "<", "bob", "<sip:bob@a", '"'])
def test_a_word_that_says_nothing(word: str) -> None:
    asked = asking(headers={"P-Asserted-Identity": word})
    assert judged(gate("192.0.2.9"), asked).proof in ("none", "asserted")
    assert judged(gate(), asked).proof == "none"


ANN = Identity("sip:ann@example.net", proof="digest")
EVE = Identity("sip:eve@anywhere")


@pytest.mark.parametrize(
    ("room", "called", "identity"),
    [
        (RoomSettings(pin="4711"), Dialled("room", "471"), ANN),
        (RoomSettings(pin="4711"), Dialled("room", "é"), ANN),
        (RoomSettings(allowed=("sip:bob@example.net",)), Dialled("room"), ANN),
        (RoomSettings(allowed=("sip:ann@example.net",)), Dialled("room"), Identity("sip:ann@example.net")),
        (RoomSettings(allowed=("sip:ann@example.net",)), Dialled("room"), Identity("sip:ann@other", proof="digest")),
    ],
)
def test_who_may_not_enter(room: RoomSettings, called: Dialled, identity: Identity) -> None:
    with pytest.raises(Refused) as refusal:
        Entry(LimitSettings()).enter(room, called, identity, "192.0.2.9")
    assert refusal.value.status == 403
    assert "4711" not in str(refusal.value)


def test_who_may_enter() -> None:
    entry = Entry(LimitSettings())
    assert entry.enter(RoomSettings(), Dialled("room"), EVE, "192.0.2.9")
    assert entry.enter(RoomSettings(pin="4711", allowed=(ANN.uri,)), Dialled("room", "4711"), ANN, "192.0.2.9")


def test_who_has_dialled_no_pin_is_asked_for_it() -> None:
    assert not Entry(LimitSettings()).enter(RoomSettings(pin="4711"), Dialled("room"), ANN, "192.0.2.9")


def guessed(entry: Entry, pin: str, identity: Identity = EVE, address: str = "192.0.2.9") -> str:
    try:
        entry.enter(RoomSettings(pin="4711"), Dialled("room", pin), identity, address)
    except Refused as refusal:
        return refusal.reason
    return ""


def test_nobody_may_guess_for_ever() -> None:
    now = [0.0]
    entry = Entry(LimitSettings(wrong_pins=3, wrong_pins_s=60.0), lambda: now[0])
    said = [guessed(entry, pin) for pin in ("1", "2", "3", "4711", "")]
    assert [word.partition(":")[0] for word in said] == ["dial the room with its PIN"] * 3 + ["too many wrong PINs"] * 2
    assert guessed(entry, "4711", address="192.0.2.8") == ""  # somebody else
    assert guessed(entry, "4711", ANN) == ""  # the same address, but proved
    now[0] = 59.9
    assert guessed(entry, "4711")
    now[0] = 60.0
    assert guessed(entry, "4711") == ""


def test_an_entry_remembers_so_many_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("control.focus.entry.MANY_CALLERS", 2)
    entry = Entry(LimitSettings(wrong_pins=1))
    for last in (1, 2, 3):
        assert guessed(entry, "0", address=f"192.0.2.{last}")
    assert [bool(guessed(entry, "4711", address=f"192.0.2.{last}")) for last in (1, 2, 3)] == [False, True, True]


def test_who_guesses() -> None:
    assert caller(ANN, "192.0.2.9") == ANN.uri
    assert caller(EVE, "192.0.2.9") == "192.0.2.9"
    assert caller(EVE, "2001:db8::1") == caller(EVE, "2001:db8::ffff:1") != caller(EVE, "2001:db8:0:1::1")
    assert caller(EVE, "fe80::1%eth0") == "fe80::/64"
    assert caller(EVE, "::ffff:192.0.2.9") == "192.0.2.9"
