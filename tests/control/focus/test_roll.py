"""The roll: calls as the roster tells them; one user for all calls of an identity."""

from __future__ import annotations

from control.focus.call import Call
from control.focus.identity import Identity
from control.focus.media import Place
from control.focus.roll import Roll
from control.focus.settings import RoomSettings
from control.roster.reader import Picture
from control.roster.views import Sight, Viewer
from control.sdp.terms import KNOWN_CODECS, Terms

TERMS = Terms(codecs=KNOWN_CODECS, suites=("AES_CM_128_HMAC_SHA1_80",), allow_clear=False)


def call(name: str, uri: str = "sip:ann@a", *, proof: str = "none", anonymous: bool = False) -> Call:
    identity = Identity(uri, "Ann", proof, anonymous)
    return Call(name, identity, TERMS, Place("127.0.0.1", "", 4000, None), cname="room")


class House:
    """A roll, and one who looks at it."""

    def __init__(self, sight: Sight = Sight.ROSTER) -> None:
        self.keying = {"ann.1": "group"}
        self.roll = Roll(
            "sip:room@a", RoomSettings(subject="Talk"), lambda name: self.keying.get(name, "own"), watchers=10
        )
        self.picture = Picture()
        self.octets = b""
        self.now = 0.0
        self.roll.subscriptions.subscribe("eve", Viewer("sip:eve@a", sight), expires_s=3600, now=0.0)
        self.look()

    def look(self) -> None:
        self.now += 10.0
        self.roll.subscriptions.changed(self.now)
        for notice in self.roll.subscriptions.notices():
            self.octets = notice.body
            self.picture.apply(notice.body)


def test_two_calls_of_one_user_are_two_endpoints() -> None:
    here = House()
    one, two = call("ann.1"), call("ann.2", proof="digest")
    here.roll.put(one)
    here.roll.put(two)
    here.look()
    (user,) = here.picture.users.values()
    assert (user.entity, user.proof, len(user.endpoints)) == ("sip:ann@a", "digest", 2)
    here.roll.drop(one)
    here.look()
    (user,) = here.picture.users.values()
    assert len(user.endpoints) == 1
    here.roll.drop(two)
    here.look()
    assert not here.picture.users


def test_a_call_is_told_with_its_keying() -> None:
    here = House()
    here.roll.put(call("ann.1"))
    here.roll.put(call("bob.1", "sip:bob@a"))
    here.look()
    assert {user.entity: user.endpoints[0].keying for user in here.picture.users.values()} == {
        "sip:ann@a": "group",
        "sip:bob@a": "unique",
    }


def test_who_is_dropped_and_was_never_there() -> None:
    here = House()
    here.roll.drop(call("ann.1"))
    here.roll.put(call("ann.2"))
    here.roll.drop(call("ann.1"))
    here.look()
    (user,) = here.picture.users.values()
    assert len(user.endpoints) == 1


def test_one_anonymous_call_hides_the_user() -> None:
    for sight, shown in ((Sight.ROSTER, False), (Sight.ALL, True)):
        here = House(sight)
        here.roll.put(call("ann.1"))
        here.roll.put(call("ann.2", anonymous=True))
        here.look()
        assert here.octets
        assert (b"sip:ann@a" in here.octets) is shown
