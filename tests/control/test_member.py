"""A member's keyring against whatever comes, in whatever order."""

from __future__ import annotations

from typing import Final

from hypothesis import given, settings
from hypothesis import strategies as st

from control.member import RETENTION_S, Member
from control.mikey.header import SrtpSession
from control.mikey.psk import Sender
from control.mikey.push import Push
from control.rekey import ratchet
from control.rekey.epochs import generation_of, mki_of, step_of
from control.rekey.keychain import Keychain
from mixer.secret import Secret
from mixer.suites import SuiteName

PSK = bytes(range(16))
SUITE: Final[SuiteName] = "AES_CM_128_HMAC_SHA1_80"


class Focus:
    """One life of a focus: keys of its own making, delivered to one member."""

    def __init__(self, member: Member) -> None:
        self.member = member
        self.keychain = Keychain("c", SUITE)
        self.sender = Sender(
            Secret(PSK), identity=b"focus", peer=b"ann", csb_id=self.keychain.csb_id, rand=self.keychain.rand
        )
        self._timestamp = 0

    def hold(self, epoch: int) -> None:
        """Make the generation's secret, or take it as many steps on as the epoch says."""
        generation, step = generation_of(epoch), step_of(epoch)
        secret = Secret(generation.to_bytes(4) + self.keychain.rand + bytes(12))
        for number in range(1, step + 1):
            secret = ratchet.step(secret, conference="c", generation=generation, step=number)
        self.keychain.put(0, epoch, secret)

    def push(self, epoch: int, *, ratchets: bool = True) -> bytes:
        self.hold(epoch)
        self._timestamp += 1
        offer = self.keychain.push(0, epoch, [], ratchets=ratchets)
        return self.sender.push(offer, timestamp=self._timestamp)

    def tell(self, epoch: int, now: float = 0.0, *, ratchets: bool = True) -> bool:
        """Deliver an epoch; true if it was acknowledged."""
        answer = self.member.receive(self.push(epoch, ratchets=ratchets), now=now)
        if answer is not None:
            self.sender.acknowledged(answer)
        return answer is not None

    def knows(self, epoch: int) -> bool:
        """The member has the very key that the mixer has."""
        self.hold(epoch)
        key = self.member.key(mki_of(epoch))
        return key is not None and key.secret == self.keychain.key(0, epoch).secret


def ann() -> Member:
    return Member("ann", Secret(PSK), focus="focus", conference="c")


def test_what_is_acknowledged_is_held() -> None:
    """The next epoch came, was thrown away, and the active one is sent again, to one who never had it."""
    focus = Focus(ann())
    assert focus.tell(0x200)
    assert focus.tell(0x100)
    assert focus.knows(0x100), "acknowledged, so it will be sent what is under it"


def test_a_focus_and_a_mixer_that_both_restarted_begin_with_small_epochs() -> None:
    member = ann()
    before = Focus(member)
    assert before.tell(0x4000)
    member.used(mki_of(0x4000), now=0.0)
    after = Focus(member)
    assert after.tell(0x100, now=5.0)
    assert after.knows(0x100)
    member.used(mki_of(0x100), now=5.0)
    member.advance(now=5.0 + RETENTION_S)
    assert [key.mki for key in member.held()] == [mki_of(0x100)], "keys of the life before are gone"
    assert after.tell(0x200, now=7.0)
    assert after.knows(0x200)


def test_a_message_of_a_former_life_is_no_news() -> None:
    """Replayed, out of the capture: what the focus of today has said stands."""
    member = ann()
    before = Focus(member)
    replayed = before.push(0x4000)
    member.receive(replayed, now=0.0)
    before.tell(0x4100)
    after = Focus(member)
    after.tell(0x100)
    refused = member.refused
    assert member.receive(replayed, now=1.0) is None
    assert member.refused == refused + 1
    assert after.knows(0x100)


def test_evictions_in_a_row_do_not_push_out_the_key_in_use() -> None:
    """Two keys are thrown away while they are delivered, a third comes; the mixer is still under the first."""
    focus = Focus(ann())
    for epoch in (0x100, 0x200):
        focus.tell(epoch)
        focus.member.used(mki_of(epoch), now=0.0)
    for epoch in (0x300, 0x400, 0x500):
        assert focus.tell(epoch, now=0.5)
        assert focus.knows(0x200), f"after {epoch:#x}"
        assert focus.knows(epoch)
    focus.member.used(mki_of(0x500), now=1.0)
    focus.member.advance(now=1.0 + RETENTION_S)
    assert [key.mki for key in focus.member.held()] == [mki_of(0x500)]


def test_one_who_speaks_keeps_the_key_that_it_will_hear_when_it_stops() -> None:
    """It hears its own key meanwhile, so no packet tells it which of the group's is in use."""
    focus = Focus(ann())
    for epoch in (0x100, 0x200, 0x300, 0x400):
        assert focus.tell(epoch)
    assert focus.knows(0x100)


def test_the_keyring_is_bounded() -> None:
    focus = Focus(ann())
    for generation in range(1, 100):
        focus.tell(generation << 8)
        assert focus.knows(generation << 8)
    assert len(focus.member.held()) <= 8


def test_a_candidate_whose_generation_is_gone_when_it_proves_right() -> None:
    """The packet was opened in another thread or later; meanwhile messages came."""
    focus = Focus(ann())
    focus.tell(0x100)
    assert focus.member.key(mki_of(0x103)) is not None
    for generation in range(2, 20):
        focus.tell(generation << 8)
    focus.member.used(mki_of(0x103), now=0.0)
    assert focus.knows(0x1300)


def test_a_candidate_that_a_message_has_overtaken() -> None:
    focus = Focus(ann())
    focus.tell(0x100)
    assert focus.member.key(mki_of(0x103)) is not None
    focus.tell(0x105)
    focus.member.used(mki_of(0x103), now=0.0)
    assert focus.knows(0x105)
    assert focus.knows(0x106)


def test_the_same_epoch_twice_is_one_key() -> None:
    focus = Focus(ann())
    focus.tell(0x100)
    assert focus.member.key(mki_of(0x102)) is not None
    focus.member.used(mki_of(0x102), now=0.0)
    assert focus.tell(0x102)
    assert focus.knows(0x102)
    assert len(focus.member.held()) == 2
    assert focus.knows(0x103)


def test_an_own_key_is_renewed_without_a_gap() -> None:
    """The signalling tells the member first; packets under the key before are still on their way."""
    member = ann()
    first, second, third = (bytes((0x80, 0, 0, number)) for number in range(3))
    member.own(first, Secret(bytes(range(30))), SUITE)
    member.used(first, now=0.0)
    member.own(second, Secret(bytes(range(1, 31))), SUITE)
    assert member.key(first) is not None
    member.used(second, now=1.0)
    member.advance(now=1.0 + RETENTION_S / 2)
    assert member.key(first) is not None, "overtaken packets"
    member.advance(now=1.0 + RETENTION_S)
    assert member.key(first) is None
    member.own(third, Secret(bytes(range(2, 32))), SUITE)
    member.own(first, Secret(bytes(range(3, 33))), SUITE)
    assert [key.mki for key in member.held()] == [first, third], "two at most"


def test_a_stream_of_the_push_is_told() -> None:
    focus = Focus(ann())
    focus.hold(0x100)
    push = Push((SrtpSession(0, 77, 3),), SUITE, "tgk", Secret(bytes(range(32))), mki_of(0x100))
    focus.member.receive(focus.sender.push(push, timestamp=1), now=0.0)
    (key,) = focus.member.held()
    assert key.streams == ((77, 3),)


epochs = st.builds(lambda generation, step: generation << 8 | step, st.integers(1, 6), st.integers(0, 12))
events = st.lists(
    st.one_of(
        st.tuples(st.just("tell"), epochs),
        st.tuples(st.just("tek"), epochs),
        st.tuples(st.just("look"), epochs),
        st.tuples(st.just("used"), epochs),
        st.tuples(st.just("wait"), st.integers(0, 3)),
        st.tuples(st.just("restart"), st.just(0)),
    ),
    max_size=40,
)


def test_an_mki_that_is_no_group_key_is_not_taken() -> None:
    focus = Focus(ann())
    for number, mki in enumerate([bytes(4), bytes.fromhex("000000ff"), bytes.fromhex("80000100")], start=1):
        push = Push((SrtpSession(0, 0, 0),), SUITE, "tgk", Secret(bytes(range(32))), mki)
        focus.member.receive(focus.sender.push(push, timestamp=number), now=0.0)
        focus.member.used(mki, now=0.0)
        focus.member.advance(now=9.0)
    assert focus.member.held() == []


@settings(max_examples=150, deadline=None)
@given(events)
def test_whatever_comes_what_was_acknowledged_last_is_held(script: list[tuple[str, int]]) -> None:
    """In any order, and whatever an attacker names as MKI: nothing escapes, and the ring stays small."""
    focus = Focus(ann())
    now, last = 0.0, 0
    for what, number in script:
        if what in ("tell", "tek"):
            last = number if focus.tell(number, now, ratchets=what == "tell") else last
        elif what == "look":
            focus.member.key(mki_of(number))
        elif what == "used":
            focus.member.used(mki_of(number), now=now)
        elif what == "wait":
            now += number
            focus.member.advance(now=now)
        else:
            focus, last = Focus(focus.member), 0
        assert len(focus.member.held()) <= 8
        if what in ("tell", "tek"):
            assert focus.knows(number)
    focus.member.close()
    assert focus.member.held() == []
    assert last == 0 or focus.member.key(mki_of(last)) is None
