"""make call-demo: two baresip telephones and a linphone in one room, and the proof of who heard whom.

    python -m bench.calldemo [--out demo-out/calls]

Mixer, KMS and focus run as daemons on loopback. Each telephone says a tone of its own, records what it hears, and is
judged by that recording. Exits with 1, and says why, if one missed another or heard itself.
"""

from __future__ import annotations

import asyncio
import shutil
import sys
import tempfile
from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Final, TypeAlias

from bench import demos
from bench.callers.hearing import levels_db
from bench.callers.judging import untrue
from bench.house import House, house
from bench.phones.baresip import Baresip
from bench.phones.linphone import Linphone
from bench.processes import BenchError

Phone: TypeAlias = Baresip | Linphone
TONES: Final = {"anna": 433, "boris": 659, "clara": 919}
SAID_DB: Final = -12.0
"""Level of the tones that the telephones are given."""
ROOM: Final = "demo"
TALK_S: Final = 8.0
_PACKAGES: Final = {"baresip": "baresip-core", "linphonec": "linphone-cli"}
_TABLES: Final = f"""\
[room.{ROOM}]
subject = "Three telephones"
keying = "group"
"""


async def demo(out: Path) -> list[str]:
    """Run it; returns what was untrue."""
    _check_installed()
    print("Starting mixer, KMS and focus, and three telephones ...")
    with tempfile.TemporaryDirectory(prefix="mrfp-phones-") as folder:
        async with house(_TABLES, legs=64) as running:
            phones = _phones(Path(folder))
            try:
                await converse(running, phones)
            except AssertionError as error:
                raise BenchError(f"a telephone did not do its part: {error}") from None
        return _judge(phones, out)


async def converse(running: House, phones: Sequence[Phone]) -> None:
    """All dial the room, talk, and hang up. Raises `AssertionError` with the words of a telephone that fails."""
    async with AsyncExitStack() as stack:
        for phone in phones:
            await stack.enter_async_context(phone)
        for phone in phones:
            await phone.dial(running.uri(ROOM))
        await asyncio.gather(*(phone.established() for phone in phones))
        print(f"All three are in {running.uri(ROOM)}; they talk for {TALK_S:.0f} s ...")
        await asyncio.sleep(TALK_S)
        for phone in phones:
            await phone.hang_up()
        await asyncio.gather(*(phone.closed() for phone in phones))


def _check_installed() -> None:
    missing = [package for program, package in _PACKAGES.items() if shutil.which(program) is None]
    if missing:
        raise BenchError(f"the telephones are not installed: apt-get install {' '.join(missing)}")


def _phones(folder: Path) -> list[Phone]:
    return [
        Baresip(folder, "anna", tone_hz=TONES["anna"]),
        Baresip(folder, "boris", tone_hz=TONES["boris"]),
        Linphone(folder, "clara", tone_hz=TONES["clara"]),
    ]


def _judge(phones: Sequence[Phone], out: Path) -> list[str]:
    """Print who heard whom; returns what was untrue."""
    problems = []
    out.mkdir(parents=True, exist_ok=True)
    print("\nLevel of each tone in what each heard, against what was said")
    print("  " + "".join(f"{title:>14}" for title in ("telephone", *TONES)))
    for phone in phones:
        samples, rate = phone.samples()
        shutil.copy(phone.heard(), out / f"{phone.name}.wav")
        spoken = samples[-round((TALK_S - 3) * rate) : -rate // 2]  # joins and leaves left out
        found = levels_db(spoken.astype("f4"), TONES.values(), rate)
        levels = {name: round(found[hz] - SAID_DB, 1) for name, hz in TONES.items()}
        cells = (f"self {level:.0f}" if name == phone.name else f"{level:.1f} dB" for name, level in levels.items())
        print("  " + "".join(f"{cell:>14}" for cell in (phone.name, *cells)))
        problems += untrue(phone.name, levels)
    print(f"\nWhat they heard is in {out}/, one WAV file each.")
    return problems


def main() -> int:
    """Run the demo; returns the exit code."""
    about = "Real telephones in one conference, and who heard whom."
    return demos.run(demo, about, "demo-out/calls", "Everybody heard everybody else, and nobody heard itself.")


if __name__ == "__main__":
    sys.exit(main())
