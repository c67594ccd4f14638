"""Plain phones under group keys: one key each, told by the signalling. Real SRTP on a virtual clock.

What one loses at a rekey is what is sent between its taking the key and the mixer's switching: a re-INVITE's way back
and a command, measured here in packets. The adversaries keep the capture, and every key they were told.
"""

from __future__ import annotations

import numpy as np
import pytest

from tests.keys.handsets import Handset
from tests.keys.house import House
from tests.mixer.net import MS
from tests.mixer.phone import tone
from tests.mixer.room import Sent
from tests.mixer.tap import readable

TICK = 20 * MS


def house(phones: int = 4, **fields: object) -> House:
    """A talker and some listeners, all under a group key."""
    made = House(style="ssrc", **fields)  # type: ignore[arg-type]
    made.dial("ann", tone(437.0))
    for number in range(phones - 1):
        made.dial(f"p{number}")
    made.settle()
    made.run(400)
    return made


def phone(one: House, name: str) -> Handset:
    found = one.guests[name].phone
    assert isinstance(found, Handset)
    return found


def missed(one: House, name: str, since_ns: int = 0) -> int:
    return len([at for at in phone(one, name).missed if at >= since_ns])


def hears(one: House, name: str, last_ms: int = 100) -> bool:
    """Its last packets were readable, and they were Ann's voice."""
    here = phone(one, name)
    recent = [heard for heard in here.heard if heard.at_ns > one.room.now_ns - last_ms * MS]
    return len(recent) >= last_ms // 20 - 1 and int(np.abs(here.audio(last_ms).astype(int)).max()) > 2500


def since(one: House, frame: int, *, to: str = "", but: str = "") -> list[Sent]:
    later = [sent for sent in one.room.sent if sent.frame > frame]
    return [sent for sent in later if sent.address != but and sent.address == (to or sent.address)]


# -- rekeys -------------------------------------------------------------------------------------


def test_they_begin_on_own_keys_and_lose_a_way_back_at_the_first_switch() -> None:
    """30 ms there, 30 ms back: two packets of 20 ms between taking the key and the switch, and no other."""
    one = house()
    for name in ("p0", "p1", "p2"):
        assert hears(one, name)
        assert len(phone(one, name).took) == 2, "its own key, and the group's"
        taken = phone(one, name).took[1]
        assert 1 <= missed(one, name) <= 2 + 1
        assert all(taken <= at <= taken + one.exchange.way_ns + 2 * TICK for at in phone(one, name).missed)
    assert one.conductor.counts.messages == 0


def test_a_leaver_reads_nothing_after_the_switch() -> None:
    """Style `ssrc` has no bridge: the rekey covers the leave; until then it could listen, and is seen to."""
    one = house(5, rekey={"t_leave_min": 0.5})
    started = one.room.now_ns
    gone = one.leave("p0")
    frame = one.room.frame
    one.run(3000)
    (exposure,) = one.conductor.policy.exposures()
    switch = frame + int(exposure.seconds * 1e9) // TICK
    exposed = readable(since(one, frame, but=gone.phone.address), gone.known())
    assert exposed, "the look finds what is there"
    assert max(sent.frame for sent in exposed) <= switch + 1
    assert exposure.seconds < 0.3, "a key, a re-INVITE there and back, and a command"
    for name in ("p1", "p2", "p3"):
        assert hears(one, name)
        assert 1 <= missed(one, name, started) <= 3


def test_a_phone_that_never_answers_stops_nobody() -> None:
    one = house(4, rekey={"t_leave_min": 0.2, "laggard_time": 3.0})
    one.exchange.dead.add("p0")
    epoch = one.cohorts()[0].epoch
    one.leave("p1")
    one.run(1500)
    assert one.cohorts()[0].epoch > epoch, "after the time that acknowledgements may take"
    assert hears(one, "p2")
    assert len([signal for signal in one.exchange.signals if signal.member == "p0"]) == 2, "not said twice meanwhile"
    one.run(3000)
    assert [wish.member for wish in one.conductor.attention] == ["p0"]
    one.join("late")  # a MIKEY member beside them
    one.dial("p9")
    one.leave("p2")
    before = one.room.now_ns
    one.run(1000)
    assert one.cohorts()[0].epoch > epoch
    assert one.conductor.policy.facts(one.now()).laggards == 1
    assert hears(one, "p9")
    assert one.room.now_ns > before


def test_a_phone_that_refuses_is_asked_again_and_hears_when_it_gives_in() -> None:
    one = house(4, rekey={"t_leave_min": 0.2})
    one.exchange.stubborn.add("p0")
    one.leave("p1")
    one.run(2000)
    assert not hears(one, "p0")
    assert hears(one, "p2")
    one.exchange.stubborn.clear()
    one.run(2500)
    assert hears(one, "p0")
    assert one.settled()


def test_a_key_that_was_thrown_away_leaves_nobody_deaf() -> None:
    """An eviction throws away a key that phones have taken in place of the one in use; the KMS fails for the next."""
    one = house(5, rekey={"t_leave_min": 0.2, "epoch_max_age": 4.0, "ack_timeout": 2.0})
    one.exchange.dead.add("p0")
    took = len(phone(one, "p2").took)
    while len(phone(one, "p2").took) == took:
        one.step()
    one.kms.down = True
    one.leave("p0", evict=True)
    one.run(2000)
    one.kms.down = False
    one.run(6000)
    assert one.settled()
    assert all(hears(one, name) for name in ("p1", "p2", "p3"))


# -- keys for life ------------------------------------------------------------------------------


def test_who_cannot_follow_hears_on_its_own_key_for_ever() -> None:
    one = house(4, rekey={"t_leave_min": 0.2, "promote_s": 1.0})
    started = one.room.now_ns
    requests = one.conductor.policy.facts(one.now()).counts.rekeys
    bare = one.dial("bare", follows=False)
    one.run(3000)
    facts = one.conductor.policy.facts(one.now())
    assert facts.counts.rekeys == requests, "it costs no rekey"
    assert (facts.bridged, facts.laggards) == (0, 0), "it is none of those who wait"
    assert not bare.missed
    one.leave("p0")
    one.leave("p1", evict=True)
    one.run(3000)
    assert one.conductor.policy.facts(one.now()).counts.rekeys > requests
    assert not bare.missed
    assert hears(one, "bare")
    assert hears(one, "p2")
    assert not readable(since(one, started // TICK, to=bare.address), one.group_keys)
    assert "bare" not in {signal.member for signal in one.exchange.signals}
    gone = one.leave("bare")
    counts = one.conductor.policy.facts(one.now()).counts
    frame = one.room.frame
    one.run(1000)
    assert one.conductor.policy.facts(one.now()).counts == counts, "nor does its leave"
    assert not readable(since(one, frame, but=bare.address), gone.known())


def test_the_same_phone_taken_for_one_that_follows_is_deaf() -> None:
    """The control run: it says 200 OK to a key, and goes on with the one it has."""
    one = house(3)
    bare = one.dial("bare")
    bare.takes = False
    one.leave("p0")
    one.run(2500)
    assert not hears(one, "bare")
    assert hears(one, "p1")


# -- under the key in use -----------------------------------------------------------------------


def test_a_newcomer_is_told_the_key_in_use_and_nobody_else_anything() -> None:
    one = house(4, rekey={"admission": "current", "t_leave_min": 0.2})
    signals, counts = len(one.exchange.signals), one.conductor.policy.facts(one.now()).counts
    started = one.room.now_ns
    told = one.conductor.current()
    assert told is not None
    new = one.dial("new", holding=told)
    one.run(400)
    assert hears(one, "new", 400), "from the first packet on"
    assert not new.missed
    assert new.hand is not None
    assert {stream.roc for stream in new.hand.streams.values()} == {0}
    assert {heard.packet.ssrc for heard in new.heard} <= {stream.ssrc for stream in told.streams}
    assert len(one.exchange.signals) == signals
    assert one.conductor.policy.facts(one.now()).counts.rekeys == counts.rekeys
    assert not missed(one, "p0", started)
    assert one.settled()
    assert one.conductor.policy.keying_of("new") == "group"
    gone = one.leave("new")
    one.run(1000)
    frame = one.room.frame
    one.run(400)
    assert one.conductor.policy.facts(one.now()).counts.rekeys == counts.rekeys + 1, "it had the key"
    assert not readable(since(one, frame), gone.known())


def test_without_it_there_is_no_such_key_and_a_newcomer_waits_for_the_next_on_its_own() -> None:
    """The control run, and what it is good for: nothing from before it came can be read with what it was told."""
    one = house(4, rekey={"promote_s": 0.5})
    frame = one.room.frame
    assert one.conductor.current() is None
    new = one.dial("new")
    one.run(300)
    assert hears(one, "new")
    assert one.conductor.policy.keying_of("new") == "own"
    one.run(1000)
    assert one.conductor.policy.keying_of("new") == "group"
    assert hears(one, "new")
    earlier = [sent for sent in one.room.sent if sent.frame <= frame]
    assert not readable(earlier, one.guests["new"].known())
    assert new.took


def test_the_price_is_what_was_sent_before_under_the_same_key() -> None:
    one = house(4, rekey={"admission": "current"})
    frame = one.room.frame
    one.dial("new", holding=one.conductor.current())
    earlier = [sent for sent in one.room.sent if sent.frame <= frame]
    assert readable(earlier, one.guests["new"].known())


def test_a_key_that_was_replaced_before_it_came_is_followed_by_the_new_one_at_once() -> None:
    one = house(4, rekey={"admission": "current", "t_leave_min": 0.2})
    stale = one.conductor.current()
    one.leave("p0")
    one.run(1000)
    late = one.dial("late", holding=stale)
    one.run(160)
    assert len(late.took) == 2
    one.run(200)
    assert hears(one, "late")
    assert one.settled()


@pytest.mark.parametrize("ms", range(0, 200, 20))
def test_at_whatever_moment_of_a_rekey_it_comes(ms: int) -> None:
    """It is told what is in use, if there is something to tell, and hears within a second, on whichever key."""
    one = house(4, rekey={"admission": "current", "t_leave_min": 0.2})
    stale = one.conductor.current()
    one.leave("p0")
    one.run(ms)
    one.dial("fresh", holding=one.conductor.current())
    one.dial("stale", holding=stale)
    one.run(1000)
    assert all(hears(one, name) for name in ("fresh", "stale", "p1", "p2"))
    assert one.settled()


# -- and back -----------------------------------------------------------------------------------


def test_when_the_conference_is_small_again_they_are_told_their_own_keys() -> None:
    one = house(4, rekey={"mode": "auto", "n_group_on": 4, "n_group_off": 3})
    own = {name: one.guests[name].owns[0] for name in ("p1", "ann")}
    one.leave("p0")
    one.leave("p2")
    one.run(1000)
    assert not one.cohorts()[0].epoch
    assert hears(one, "p1")
    back = {signal.member: signal.key for signal in one.exchange.signals if signal.epoch == 0}
    assert back == own
    one.dial("p7")
    one.dial("p8")
    one.settle()
    one.run(300)
    assert all(hears(one, name) for name in ("p1", "p7", "p8"))


# -- restarts -----------------------------------------------------------------------------------


def test_a_focus_that_restarts_removes_whom_it_does_not_know() -> None:
    """The dialogs are lost, so it knows nobody: no leg is left, and no key."""
    one = house(4)
    one.dial("bare", follows=False)
    one.guests.clear()
    one.restart_focus()
    shown = one.room.show("c")
    assert shown.legs == []
    assert all(not cohort.epoch and not cohort.prepared for cohort in shown.cohorts)
    assert not one.refusals
    highest = max(cohort.highest for cohort in shown.cohorts)
    one.dial("ann", tone(437.0))
    one.dial("p1")
    one.settle()
    one.run(400)
    assert hears(one, "p1")
    assert one.cohorts()[0].epoch > highest


def test_a_focus_that_knows_them_still_keys_them_anew() -> None:
    one = house(4)
    bare = one.dial("bare", follows=False)
    epoch = one.cohorts()[0].epoch
    one.restart_focus()
    assert not one.cohorts()[0].epoch, "nobody knows who has it"
    one.settle()
    one.run(400)
    assert one.cohorts()[0].epoch > epoch
    assert all(hears(one, name) for name in ("p0", "p1", "bare"))
    assert not bare.missed
