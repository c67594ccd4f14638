"""What callers do together, with Bob for a conference that holds one."""

from __future__ import annotations

from bench.callers.caller import Caller
from bench.callers.cast import TONES, Casting, cast
from bench.callers.judging import everybody_hears_everybody, hears
from bench.callers.lines import Lines
from bench.callers.script import arrive, churn, keeps_out
from tests.bench.calling import heard, pair


async def test_arrivals_are_counted_and_refusals_by_their_reason() -> None:
    async with pair() as (alice, bob):
        carol = await Caller.open("carol")
        tally = await arrive([alice, carol], bob.uri, per_s=1000)
        assert (tally.dialled, tally.answered) == (2, 1)
        ((reason, times),) = tally.failures.items()
        assert "486" in reason
        assert times == 1
        assert len(tally.set_up_ms) == 1
        await carol.close()


async def test_churn_comes_and_goes() -> None:
    lines = await Lines.open()
    callers = [await Caller.open(f"caller-{n}", lines=lines) for n in range(2)]
    async with pair() as (_, bob):
        tally = await churn(callers, bob.uri, calls_per_s=30, hold_s=0.02, seconds=0.5, seed=7)
        assert tally.answered > 1
        assert tally.dialled == tally.answered + sum(n for reason, n in tally.failures.items() if "486" in reason)
        assert not any(caller.in_call for caller in callers), "all have hung up in the end"
        nobody = await churn([], bob.uri, calls_per_s=50, hold_s=1, seconds=0.1, seed=7)
        assert nobody.dialled == 0
        assert list(nobody.failures) == ["no caller was free: open more"]
    await lines.close()


async def test_who_has_hung_up_must_read_nothing_more() -> None:
    async with pair() as (alice, bob):
        await alice.dial(bob.uri)
        await heard(alice, 5)
        assert keeps_out([alice], tap=alice, bound_s=0) == [], "she has not hung up"
        await alice.hang_up()
        assert keeps_out([alice], tap=alice, bound_s=0) == [], "nothing has come since"
        assert alice.reads(alice.arrived_packets) == len(alice.arrived_packets)
        assert bob.reads(alice.arrived_packets) == 0, "Bob holds no key to what he says"
        alice.call.ended_ns = alice.call.began_ns
        (problem,) = keeps_out([alice], tap=alice, bound_s=0)
        assert problem.startswith("alice has hung up and reads ")
        assert keeps_out([alice], tap=alice, bound_s=60) == [], "so long she may"


async def test_everybody_hears_everybody_but_who_is_missing() -> None:
    async with pair() as (alice, bob):
        await alice.dial(bob.uri)
        await heard(alice, 15)
        await heard(bob, 5)
        assert everybody_hears_everybody([alice, bob]) == []
        (problem,) = everybody_hears_everybody([alice], unheard=[bob])
        assert problem == "alice hears bob, whom nobody should"
        carol = await Caller.open("carol", hz=TONES[-1])
        assert everybody_hears_everybody([alice, carol])[0].startswith("alice does not hear carol")
        assert set(hears(alice, [alice, bob, carol])) == {"alice", "bob", "carol"}
        await carol.close()


async def test_a_cast_has_its_parts() -> None:
    players = await cast(Casting(callers=4, talkers=2, dtls=1, churners=2, misbehave=("wrong_key", "never_acks")))
    assert [one.options.hz for one in players.good] == [*TONES[:2], 0, 0]
    assert [one.options.security for one in players.good] == ["sdes", "sdes", "sdes", "dtls"]
    assert [one.options.habits.wrong_key for one in players.bad] == [True, False]
    assert players.bad[0].lines is players.lines
    assert players.bad[1].lines is not players.lines, "an agent that does not acknowledge is its own"
    assert len({one.name for one in players.all}) == 8
    await players.close()


async def test_a_cast_may_speak() -> None:
    players = await cast(Casting(callers=5, talkers=5, speech=True))
    voices = [len(one.options.said) for one in players.good]
    assert all(voices[:4])
    assert voices[4] == 0, "there are four recordings"
    await players.close()
