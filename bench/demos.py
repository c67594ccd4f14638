"""What all demos have in common: a folder for what was heard, and an exit status that says whether all is true."""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

from bench.processes import BenchError
from control.client import ControlError


def run(demo: Callable[[Path], Coroutine[Any, Any, list[str]]], about: str, out: str, well: str) -> int:
    """Run a demo from the command line; returns the exit code.

    Args:
        demo: is given the folder, and returns what was untrue.
        about: what `--help` says; `out`: the folder if none is named; `well`: what is said if all was true.
    """
    parser = argparse.ArgumentParser(description=about)
    parser.add_argument("--out", type=Path, default=Path(out), help="directory for the WAV files")
    try:
        problems = asyncio.run(demo(parser.parse_args().out))
    except (BenchError, ControlError) as error:
        problems = [str(error)]
    for problem in problems:
        print(f"UNTRUE: {problem}", file=sys.stderr)
    if not problems:
        print(well)
    return 1 if problems else 0
