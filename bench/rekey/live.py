"""Live: rekeying with media. A mixer, a KMS, a focus and a thousand members, and every packet opened afterwards.

    python -m bench.rekey.live [--members 1000] [--cohort 256 --bridge-max 1500] [--json | --markdown]

The mixer is `mrfp serve`, the KMS `mrfp kms`, each a process of its own; the members are another (`members`); the
focus is this one: `Driver`, `Conductor` and `Policy` as they are. Members take the mixer's SRTP on addresses of their
own, and key messages by MIKEY over UDP, which they acknowledge. Three talk. Then members leave, one after the other,
and some come.

Without --cohort four runs are made: one group; cohorts of 256; the same with the bridge; and with that, a network that
loses every twentieth key message and every twentieth acknowledgement. Exits with 1, and says
WRONG, if a member that stayed lost a packet or could not read one, if the content is wrong, or if counts do not add up.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import datetime as dt
import secrets
import statistics
import sys
import time
from pathlib import Path
from typing import Final

import msgspec

from bench.processes import GENERATOR_CORE, BenchError, Child, Daemon, child, daemon
from bench.rekey import tables
from bench.rekey.focus import Focus, Rekey, conference, key_server
from bench.rekey.judging import Happened, LiveVerdict
from bench.rekey.liveplan import HEAD_S, TAIL_S, Live
from bench.sweep import machine
from control import logs
from control.errors import ControlError
from control.messages import NodeInfo

PAGE: Final = Path(__file__).resolve().parent.parent.parent / "docs" / "rekeying.md"
COUNTS: Final = ("lost", "unreadable", "forged", "duplicates", "disordered", "stray")
"""Of packets, each of which has to be 0."""
LOSSY: Final = 0.05
"""Of the last run, if all are made."""
EXPOSED: Final = 1
"""Packets that may still go out under a key of one who has left, if its cohort is bridged."""


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """One run."""

    live: Live
    rekeys: list[Rekey]
    joins_ms: list[float]
    """From each join to when it was under the group key."""
    setup_ms: float
    """From the first join to when everybody was under a group key."""
    late_ticks: int
    verdict: LiveVerdict


async def run(live: Live) -> Run:
    """One run.

    Raises:
        BenchError: if a process fails, or something does not happen.
    """
    live.check()
    async with contextlib.AsyncExitStack() as stack:
        members = await stack.enter_async_context(child("members", GENERATOR_CORE, "-m", "bench.rekey.members"))
        members.tell(msgspec.json.encode(live).decode())
        media, keys = map(int, (await members.expect("ready", 60 + live.legs / 100)).split())
        mixer = await stack.enter_async_context(daemon(legs=max(live.legs, 64)))
        kms = await stack.enter_async_context(key_server())
        focus = await stack.enter_async_context(conference(live, mixer, kms, (media, keys)))
        return await _play(live, focus, mixer, members)


async def _play(live: Live, focus: Focus, mixer: Daemon, members: Child) -> Run:
    loop = asyncio.get_running_loop()
    begin = loop.time()
    for leg in range(live.members):
        focus.join(leg)
    await focus.until(focus.all_grouped, "everybody under a group key")
    setup_ms = round((loop.time() - begin) * 1000, 1)
    before = await mixer.client.call(NodeInfo())
    members.tell(f"go {mixer.port}")
    await members.expect("talking", 10)
    await asyncio.sleep(HEAD_S)
    window = time.time_ns()
    rekeys = [await focus.leave(leg) for leg in live.leavers()]
    joins_ms = [await focus.come(leg) for leg in range(live.members, live.legs)]
    await asyncio.sleep(TAIL_S / 2)
    happened = Happened((window, time.time_ns()), focus.left, focus.joined)
    after = await mixer.client.call(NodeInfo())
    await members.expect("done", live.talk_s + 30)
    members.tell(f"judge {msgspec.json.encode(happened).decode()}")
    found = msgspec.json.decode(await members.line(300), type=LiveVerdict)
    return Run(
        live=live,
        rekeys=[_completed(one, found, left) for one, left in zip(rekeys, happened.left, strict=True)],
        joins_ms=joins_ms,
        setup_ms=setup_ms,
        late_ticks=after.late_ticks - before.late_ticks + after.skipped_ticks - before.skipped_ticks,
        verdict=found,
    )


def _completed(rekey: Rekey, found: LiveVerdict, left: tuple[int, int, int]) -> Rekey:
    """With what the members know."""
    last_ns = next((one.last_ns for one in found.epochs if one.epoch == rekey.epoch), left[1])
    return msgspec.structs.replace(rekey, heard_ms=round((last_ns - left[1]) / 1e6, 1))


# -- what is said of it -----------------------------------------------------------------------


def complaints(run: Run) -> list[str]:
    """What is wrong with a run; nothing, if all is well."""
    found, live = run.verdict, run.live
    counts = {name: getattr(found, name) for name in COUNTS}
    wrong = [*found.problems, *(f"{count} packets {name}" for name, count in counts.items() if count)]
    size = live.cohort or live.members
    wrong += [
        f"{one.members} members of a cohort of {size} acknowledged {one.messages} messages"
        for one in run.rekeys
        if not 0 < one.members < size or one.messages < one.members
    ]
    acked = sum(rekey.members for rekey in run.rekeys)
    if (
        not live.cohort
        and not live.loss
        and acked != sum(live.members - number for number in range(1, live.leaves + 1))
    ):
        wrong.append(f"only {acked} of the members that stayed acknowledged a key")
    for leaver in found.leavers:
        if leaver.sent_to_it:
            wrong.append(f"leg {leaver.leg} was sent {leaver.sent_to_it} packets after it was removed")
        if live.bridge_max and (leaver.packets > EXPOSED or leaver.packets_removed):
            wrong.append(f"leg {leaver.leg} left, and {leaver.packets} packets went out under its key")
    return wrong


HEADS: Final = (
    "members",
    "cohort",
    "bridge",
    "loss",
    "rekeys",
    "keys acknowledged, each",
    "last ack, ms: median, max",
    "switched, ms",
    "heard by the last, ms",
    "focus, CPU ms",
    "packets heard",
    "lost, unreadable",
    "exposure, packets",
    "exposure, ms",
    "own-key packets",
    "a join, ms",
)


def row(run: Run) -> list[str]:
    """One run as a row of the table."""
    live, found, rekeys = run.live, run.verdict, run.rekeys
    return [
        f"{live.members:,}",
        str(live.cohort or "one group"),
        "yes" if live.bridge_max else "no",
        f"{live.loss:.0%}",
        str(len(rekeys)),
        _pair([one.members for one in rekeys]),
        _pair([one.last_ack_ms for one in rekeys]),
        _pair([one.switched_ms for one in rekeys]),
        _pair([one.heard_ms for one in rekeys]),
        _pair([one.focus_cpu_ms for one in rekeys]),
        f"{found.packets:,}",
        f"{found.lost}, {found.unreadable + found.forged}",
        _pair([one.packets for one in found.leavers]),
        _pair([one.ms for one in found.leavers]),
        _pair([one.own for one in found.leavers]),
        _pair(run.joins_ms),
    ]


def _pair(values: list[float] | list[int]) -> str:
    if not values:
        return ""
    middle, worst = statistics.median(values), max(values)
    return f"{middle:.0f}, {worst:.0f}"


def markdown(runs: list[Run]) -> str:
    """The table."""
    return tables.table(HEADS, map(row, runs), "r" * len(HEADS))


def publish(runs: list[Run]) -> None:
    """Write the table, and how it came about, into the page. Raises `BenchError` if it has lost its markers."""
    words = [word for word in sys.argv[1:] if word != "--publish"]
    day = dt.datetime.now(dt.UTC).date().isoformat()
    made = f"`{' '.join(('python -m bench.rekey.live', *words))}`, {day}; {machine()}."
    page = tables.fill(PAGE.read_text(encoding="utf-8"), "live", f"{made}\n\n{markdown(runs)}")
    PAGE.write_text(page, encoding="utf-8")


def options_of(arguments: list[str]) -> argparse.Namespace:
    """The command line."""
    shape = argparse.ArgumentDefaultsHelpFormatter
    p = argparse.ArgumentParser(description="Rekey with media.", formatter_class=shape)
    p.add_argument("--members", type=int, default=1000)
    p.add_argument("--cohort", type=int, default=None, help="members of one; 0: one group; omitted: four runs")
    p.add_argument("--bridge-max", type=int, default=0, help="legs that may be on own keys for a leave")
    p.add_argument("--leaves", type=int, default=5)
    p.add_argument("--joins", type=int, default=2)
    p.add_argument("--gap-s", type=float, default=2.5, help="seconds between two of them")
    p.add_argument("--loss", type=float, default=0.0, help="share of key messages and of acknowledgements lost")
    p.add_argument("--json", action="store_true")
    p.add_argument("--markdown", action="store_true", help="the table only")
    p.add_argument("--publish", action="store_true", help="the table, into docs/rekeying.md too")
    return p.parse_args(arguments)


def lives(options: argparse.Namespace) -> list[Live]:
    """The runs that the command line asks for."""
    shared = {name: getattr(options, name) for name in ("members", "leaves", "joins", "gap_s")}
    wanted = [(0, 0, options.loss), (256, 0, options.loss), (256, 1500, options.loss), (256, 1500, LOSSY)]
    if options.cohort is not None:
        wanted = [(options.cohort, options.bridge_max, options.loss)]
    return [
        Live(**shared, cohort=cohort, bridge_max=bridge, loss=loss, seed=secrets.token_hex(16))
        for cohort, bridge, loss in wanted
    ]


def main() -> int:
    """Measure as the command line says; returns the exit code."""
    options = options_of(sys.argv[1:])
    logs.configure("warning", "console")
    runs: list[Run] = []
    wrong: list[str] = []
    try:
        for live in lives(options):
            runs.append(asyncio.run(run(live)))
            wrong += complaints(runs[-1])
            if not (options.json or options.markdown or options.publish):
                print(msgspec.json.format(msgspec.json.encode(runs[-1])).decode())
    except (BenchError, ControlError, OSError) as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    print(msgspec.json.encode(runs).decode() if options.json else markdown(runs))
    if options.publish and not wrong:
        publish(runs)
    for problem in wrong:
        print(f"WRONG: {problem}", file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
