"""python -m bench.callers sip:room@127.0.0.1:5060 --callers 10 --seconds 8

Callers dial a conference, talk, and are judged by what they hear. Prints a line for each call. Exits with 1, and says
why, if anybody did not hear the others, heard itself (less than 40 dB down; 25 with a codec that adds noise), or could
read what it must not.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from pathlib import Path
from typing import Final

from bench.callers.cast import Casting
from bench.callers.habits import Habits
from bench.callers.lines import USER_AGENT
from bench.callers.play import Outcome, Plan, play
from bench.callers.table import lines
from bench.phone import write_wav
from control.kms import psks
from control.sip.agent import SipSettings
from control.sip.tls import TlsFilesUnfit
from mixer.suites import SUITES

RATE: Final = 8000
"""At which all of them are judged, whatever they speak."""
CHURNERS: Final = 20
"""Callers that take turns in coming and going."""


def main() -> int:
    """Run it; returns the exit code."""
    arguments = _parser().parse_args()
    try:
        plan = _plan(arguments)
    except ValueError as error:
        print(error, file=sys.stderr)
        return 2
    if not arguments.json:
        print(f"{arguments.callers} callers dial, are judged for {plan.seconds:g} s or more, and leave ...", flush=True)
    try:
        outcome = asyncio.run(play(plan))
    except TlsFilesUnfit:
        print("--transport tls needs --certificate and --key, PEM files that can be read", file=sys.stderr)
        return 2
    if arguments.wav is not None:
        _save(outcome, arguments.wav)
    if arguments.json:
        print(json.dumps(_as_json(outcome)))
    else:
        _print(outcome)
    for problem in outcome.problems:
        print(f"UNTRUE: {problem}", file=sys.stderr)
    if not (outcome.problems or arguments.json):
        print("Everybody heard all who talked, and nobody itself.")
    return 1 if outcome.problems else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench.callers", description="Callers for a SIP conference.")
    parser.add_argument("uri", help="whom to call: sip:room@host:port")
    parser.add_argument("--callers", type=int, default=10)
    parser.add_argument("--talkers", type=int, default=6, help="the first so many talk, the others listen")
    parser.add_argument("--seconds", type=float, default=8.0, help="how long they talk and are judged")
    parser.add_argument("--speech", action="store_true", help="four recorded voices in place of tones")
    parser.add_argument("--dtls", type=int, default=0, help="the last so many are keyed by DTLS")
    parser.add_argument("--churn", type=_rate, default=0.0, metavar="2/s", help="calls a second that come and go")
    parser.add_argument("--stay", type=float, default=2.0, help="how long those stay on average, seconds")
    parser.add_argument("--hold", action="store_true", help="one goes on hold and comes back")
    parser.add_argument("--rekey", action="store_true", help="talkers change their own keys")
    parser.add_argument("--misbehave", default="", metavar="KINDS", help="one more caller for each, as silent,late_s")
    parser.add_argument("--bound", type=float, default=5.0, help="after so long a leaver reads nothing; 0: not judged")
    parser.add_argument("--suite", choices=list(SUITES), default="AES_CM_128_HMAC_SHA1_80")
    parser.add_argument("--codec", choices=("PCMU", "PCMA", "G722", "opus", "AMR", "AMR-WB"), default="PCMU")
    parser.add_argument("--mki", action="store_true", help="offer keys with an MKI")
    parser.add_argument("--psks", type=Path, help="`identity base64-key` a line: who takes keys by MIKEY")
    parser.add_argument("--domain", default="127.0.0.1", help="of the callers' own addresses")
    parser.add_argument("--transport", choices=("udp", "tcp", "tls"), default="udp")
    parser.add_argument("--authority", default="", help="PEM file with whom to trust, for TLS")
    parser.add_argument("--certificate", default="", help="PEM file of the callers, for TLS")
    parser.add_argument("--key", default="", help="PEM file with its private key")
    parser.add_argument("--dials", type=_rate, default=20.0, metavar="20/s", help="how fast they dial")
    parser.add_argument("--seed", type=int, default=1, help="of the churn")
    parser.add_argument("--wav", type=Path, metavar="DIR", help="write what each heard")
    parser.add_argument("--json", action="store_true")
    return parser


def _rate(text: str) -> float:
    return float(text.removesuffix("/s"))


def _plan(arguments: argparse.Namespace) -> Plan:
    kinds = tuple(kind for kind in arguments.misbehave.split(",") if kind)
    for kind in kinds:
        Habits.named(kind)
    if arguments.speech and arguments.codec not in ("PCMU", "PCMA"):
        raise ValueError("voices are told apart in G.711 only: leave out --speech or --codec")
    casting = Casting(
        callers=arguments.callers,
        talkers=arguments.talkers,
        speech=arguments.speech,
        dtls=arguments.dtls,
        churners=CHURNERS if arguments.churn else 0,
        misbehave=kinds,
        transport=arguments.transport,
        tls=_tls(arguments) if arguments.transport == "tls" else None,
        suite=arguments.suite,
        codec=arguments.codec,
        mki=arguments.mki,
        psks=psks.load(arguments.psks) if arguments.psks else {},
        domain=arguments.domain,
    )
    return Plan(
        uri=arguments.uri,
        casting=casting,
        seconds=arguments.seconds,
        dials_per_s=arguments.dials,
        churn_per_s=arguments.churn,
        stay_s=arguments.stay,
        hold=arguments.hold,
        rekey=arguments.rekey,
        bound_s=arguments.bound,
        seed=arguments.seed,
    )


def _tls(arguments: argparse.Namespace) -> SipSettings:
    return SipSettings(
        udp_port=-1,
        tcp_port=-1,
        tls_port=0,
        certificate=arguments.certificate,
        key=arguments.key,
        authority=arguments.authority,
        user_agent=USER_AGENT,
    )


def _print(outcome: Outcome) -> None:
    for line in lines(outcome.rows):
        print(line)
    came = outcome.arrivals
    print(f"\n{came.answered} of {came.dialled} calls were answered", end="")
    if outcome.churned.dialled:
        print(f"; {outcome.churned.answered} of {outcome.churned.dialled} came and went", end="")
    print("." if outcome.control_reads is None else f".\n{_left(outcome)}")
    for reason, times in (came.failures + outcome.churned.failures).items():
        print(f"  {times} x {reason}")


def _left(outcome: Outcome) -> str:
    since = "" if outcome.problems else ", and none since"
    return f"Who left could read {outcome.control_reads} packets of a neighbour's line while in the room{since}."


def _as_json(outcome: Outcome) -> dict[str, object]:
    return {
        "calls": [row.as_json() for row in outcome.rows],
        "answered": outcome.arrivals.answered,
        "dialled": outcome.arrivals.dialled,
        "churned": outcome.churned.answered,
        "failures": dict(outcome.arrivals.failures + outcome.churned.failures),
        "control_reads": outcome.control_reads,
        "problems": outcome.problems,
    }


def _save(outcome: Outcome, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, samples in outcome.samples.items():
        write_wav(folder / f"{name}.wav", samples, RATE)


if __name__ == "__main__":
    sys.exit(main())
