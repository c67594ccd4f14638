"""SIPp as a crowd of callers: the scenarios of `sipp/`, replayed SRTP, and the figures of a run.

Knows: SIPp 3.6, its switches and its statistics. Must never know: what is called. SIPp has no SRTP of its own,
and its callers replay one capture: all calls of a run say the same octets, and none hears anything.
"""

from __future__ import annotations

import base64
import contextlib
import csv
import math
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bench.phones.ports import free_block, free_span
from bench.phones.program import Program, running
from tests.interop.programs import bound
from tests.interop.replay import packets_of, write_srtp_tone

KEY: Final = bytes(range(1, 31))
"""What the callers offer, and say `audio.pcap` under."""
NEXT_KEY: Final = bytes(range(31, 61))
"""What `reinvite` changes to, and says `audio2.pcap` under."""

_SCENARIOS: Final = Path(__file__).resolve().parent / "sipp"


@dataclass(frozen=True)
class Result:
    """How a run ended. `response_times_s`: from request to final answer, sorted. `errors`: what SIPp did not expect."""

    successful: int
    failed: int
    retransmissions: int
    response_times_s: tuple[float, ...]
    errors: str

    def percentile(self, percent: float) -> float:
        """The time in which so many percent of the answers came (nearest rank)."""
        rank = max(1, math.ceil(percent / 100 * len(self.response_times_s)))
        return self.response_times_s[rank - 1]


class Sipp:
    """Callers that say `tone_hz` for `seconds`. Replaying it takes a raw socket: be root for media."""

    def __init__(self, folder: Path, *, tone_hz: float = 440.0, seconds: float = 5.0) -> None:
        self._folder = folder / "sipp"
        self._folder.mkdir()
        write_srtp_tone(self._folder / "audio.pcap", KEY, tone_hz, seconds=seconds)
        after = 1 + packets_of(seconds)
        write_srtp_tone(self._folder / "audio2.pcap", NEXT_KEY, tone_hz, seconds=seconds, first=after)
        self._runs = 0

    async def run(
        self,
        scenario: str,
        uri: str,
        *,
        calls: int = 1,
        rate: float = 10.0,
        limit: int | None = None,
        hold_s: float = 2.0,
        timeout_s: float = 10.0,
    ) -> Result:
        """`calls` callers of a kind, `rate` a second, at most `limit` at once; each pauses for `hold_s`, and gives
        up when it has waited `timeout_s` for an answer. By a URI for TCP, every caller has a connection."""
        address, _, parameters = uri.removeprefix("sip:").partition(";")
        user, _, target = address.partition("@")
        folder = self._own_folder(scenario)
        switches: dict[str, object] = {
            "-s": user,
            "-m": calls,
            "-r": rate,
            "-l": limit or calls,
            "-d": round(hold_s * 1000),
        }
        switches |= {"-recv_timeout": round(timeout_s * 1000), "-t": "tn" if "transport=tcp" in parameters else "u1"}
        switches["-max_socket"] = calls + 10  # by default more than a process may open
        command = [
            target,
            *_command(scenario, free_block()),
            "-trace_stat",
            "-stf",
            "statistics",
            "-trace_rtt",
            "-rtt_freq",
            "1",
        ]
        command += [str(word) for pair in switches.items() for word in pair]
        async with self._running(folder, command) as program:
            await program.process.wait()
        return _result(folder, program)

    @contextlib.asynccontextmanager
    async def answering(self) -> AsyncIterator[str]:
        """SIPp as the one who is called (`callee.xml`): where to call it."""
        port = free_block()
        async with self._running(self._own_folder("callee"), _command("callee", port)) as program:
            await bound(port, program)
            yield f"sip:callee@127.0.0.1:{port}"

    def _own_folder(self, scenario: str) -> Path:
        """A folder of its own for every run: SIPp names some of its files by itself."""
        self._runs += 1
        folder = self._folder / str(self._runs)
        folder.mkdir()
        for name in ("audio.pcap", "audio2.pcap"):
            (folder / name).symlink_to(self._folder / name)
        (folder / f"{scenario}.xml").symlink_to(_SCENARIOS / f"{scenario}.xml")
        return folder

    @contextlib.asynccontextmanager
    async def _running(self, folder: Path, switches: list[str]) -> AsyncIterator[Program]:
        # It writes where it stands, and it has no switch for that.
        command = ("env", "-C", str(folder), "sipp", *switches)
        async with running(folder / "log", *command) as program:
            yield program


def _command(scenario: str, port: int) -> list[str]:
    keys = {"crypto": KEY, "crypto2": NEXT_KEY}
    words = ["-sf", f"{scenario}.xml", "-nostdin", "-trace_err", "-error_file", "errors"]
    words += ["-i", "127.0.0.1", "-p", str(port), "-mi", "127.0.0.1", "-mp", str(free_span())]
    for name, key in keys.items():
        words += ["-key", name, base64.b64encode(key).decode()]
    return words


def _result(folder: Path, program: Program) -> Result:
    """Read what a run has left: the last line of its statistics is the sum."""
    statistics = folder / "statistics"
    assert statistics.exists(), f"SIPp did not start: {program.words()}"
    with statistics.open(newline="") as text:
        total = list(csv.DictReader(text, delimiter=";"))[-1]
    times = [path.read_text() for path in folder.glob("*_rtt.csv")]
    errors = folder / "errors"
    return Result(
        successful=int(total["SuccessfulCall(C)"]),
        failed=int(total["FailedCall(C)"]),
        retransmissions=int(total["Retransmissions(C)"]),
        response_times_s=_response_times("".join(times)),
        errors=errors.read_text() if errors.exists() else "",
    )


def _response_times(text: str) -> tuple[float, ...]:
    """Of the lines of -trace_rtt, the ones that are measurements."""
    columns = [line.split(";") for line in text.splitlines()]
    return tuple(sorted(float(row[1]) / 1000 for row in columns if len(row) >= 2 and row[0].strip()[:1].isdigit()))
