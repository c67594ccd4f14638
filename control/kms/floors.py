"""The highest epoch of each conference and cohort, on disk: no epoch is made twice, come what may.

Knows: names and numbers. Must never know: keys; nothing in the file is, or was made from, one.

Every epoch is one line, `["room",0,7]`, on the disk before its key exists. After a crash the KMS
knows no conference and no key, but refuses the epochs it made: a conference system that goes on
must go on above them.
"""

from __future__ import annotations

from collections import OrderedDict
from pathlib import Path
from typing import Final

import msgspec

from control.kms.lines import LineFile, LineFileError

REMEMBERED: Final = 65_536
"""Conference names remembered. Beyond that, the one whose last epoch is the oldest is forgotten: by
then its keys have expired long since."""
SLACK: Final = 65_536
"""Lines that are added before the file is written anew, without those that are superseded."""


class MemoryFloors:
    """Floors that last as long as this process: for tests, and under those that last longer."""

    def __init__(self, remembered: int = REMEMBERED) -> None:
        self._remembered = remembered
        self._floors: OrderedDict[str, dict[int, int]] = OrderedDict()

    def highest(self, conference: str, cohort: int) -> int:
        """See `registry.Floors`."""
        return self._floors.get(conference, {}).get(cohort, 0)

    def raise_to(self, conference: str, cohort: int, epoch: int) -> None:
        """See `registry.Floors`."""
        self._floors.setdefault(conference, {})[cohort] = epoch
        self._floors.move_to_end(conference)
        if len(self._floors) > self._remembered:
            self._floors.popitem(last=False)

    def lines(self) -> list[bytes]:
        """All of it, one line each, the oldest first."""
        return [
            _line(conference, cohort, epoch)
            for conference, cohorts in self._floors.items()
            for cohort, epoch in cohorts.items()
        ]


class FileFloors(MemoryFloors):
    """Floors that outlive this process."""

    def __init__(self, path: Path, remembered: int = REMEMBERED, slack: int = SLACK) -> None:
        """Raises `LineFileError` if the file is not ours, in use, or damaged."""
        super().__init__(remembered)
        self._file = LineFile(path)
        self._slack = slack
        try:
            for number, line in enumerate(self._file.lines(), start=1):
                super().raise_to(*_read(line, path, number))
            self._compact()
        except (LineFileError, OSError):
            self._file.close()
            raise

    def raise_to(self, conference: str, cohort: int, epoch: int) -> None:
        """See `registry.Floors`."""
        if self._added >= self._slack:
            self._compact()
        self._file.append(_line(conference, cohort, epoch), sync=True)
        self._added += 1
        super().raise_to(conference, cohort, epoch)

    def close(self) -> None:
        """Let another process have the file."""
        self._file.close()

    def _compact(self) -> None:
        self._file.replace(b"".join(self.lines()))
        self._added = 0


def _line(conference: str, cohort: int, epoch: int) -> bytes:
    return msgspec.json.encode((conference, cohort, epoch)) + b"\n"


def _read(line: bytes, path: Path, number: int) -> tuple[str, int, int]:
    try:
        return msgspec.json.decode(line, type=tuple[str, int, int])
    except msgspec.DecodeError:
        text = f"{path}, line {number}, is damaged: restore it, or remove the file once no conference of old goes on"
        raise LineFileError(text) from None
