"""The audit: one line for every operation, each chained to the one before. Never a key, nor a trace of one.

Knows: names, numbers and outcomes. Must never know: keys. Time comes as an argument.

A line carries the SHA-256 of the line before it. A line that is changed, removed or put in shows; that
lines are missing at the end shows only to those who kept a later hash (`kms.info` tells it). The chain
has no secret in it: it keeps honest people honest, and does not replace a copy elsewhere.
"""

from __future__ import annotations

import datetime as dt
import hashlib
from collections import deque
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from control.kms.lines import LineFile, LineFileError
from control.kms.messages import AuditRecord

ZEROS: Final = "0" * 64
IN_MEMORY: Final = 10_000
"""Newest lines that `audit.tail` can show."""


class AuditError(Exception):
    """The chain is broken; the message says at which line."""


class Audit:
    """One chain of lines, in a file or (without a path) in memory only."""

    def __init__(self, boot: str, path: Path | None = None, in_memory: int = IN_MEMORY) -> None:
        """Raises `LineFileError` if the file cannot be used, or its last line is damaged."""
        self._boot = boot
        self._file = LineFile(path) if path else None
        self._recent: deque[AuditRecord] = deque(maxlen=in_memory)
        self.lines = 0
        """Lines so far, those of earlier lives too."""
        self.head = ZEROS
        """SHA-256 of the last line."""
        if self._file is not None:
            self._resume(self._file)

    @property
    def cut(self) -> int:
        """Octets of an unfinished line that were cut off the end of the file."""
        return self._file.cut if self._file else 0

    def add(self, now: float, who: str, *operations: dict[str, Any]) -> None:
        """Write a line for each operation, all or none. `now` is seconds since 1970.

        The fields of an operation are those of `AuditRecord`. Raises OSError if they cannot be written.
        """
        time = dt.datetime.fromtimestamp(now, dt.UTC).isoformat(timespec="milliseconds")
        head, records, lines = self.head, [], []
        for number, fields in enumerate(operations, start=self.lines + 1):
            record = AuditRecord(n=number, time=time, boot=self._boot, who=who, prev=head, **fields)
            line = msgspec.json.encode(record)
            head = _digest(line)
            records.append(record)
            lines.append(line + b"\n")
        if self._file is not None:
            self._file.append(b"".join(lines))
        self.head = head
        self.lines += len(records)
        self._recent.extend(records)

    def tail(self, first: int, limit: int) -> Sequence[AuditRecord]:
        """At most `limit` lines in memory from number `first` on; the newest if `first` is 0."""
        if not first:
            return list(self._recent)[-limit:]
        return [record for record in self._recent if record.n >= first][:limit]

    def close(self) -> None:
        """Let another process have the file."""
        if self._file is not None:
            self._file.close()

    def _resume(self, file: LineFile) -> None:
        if file.last is None:
            return
        try:
            self.lines = msgspec.json.decode(file.last, type=AuditRecord).n
        except msgspec.DecodeError:
            file.close()
            text = f"the last line of {file.path} is damaged: put the file aside, and a new one is begun"
            raise LineFileError(text) from None
        self.head = _digest(file.last)


def verify(lines: Iterable[bytes]) -> tuple[int, str]:
    """Check a chain from its first line on; returns how many lines it has, and the hash of the last.

    Raises:
        AuditError: at the first line that is damaged or does not follow on the one before.
    """
    head, count = ZEROS, 0
    for count, line in enumerate(lines, start=1):
        line = line.rstrip(b"\n")
        try:
            record = msgspec.json.decode(line, type=AuditRecord)
        except msgspec.DecodeError:
            raise AuditError(f"line {count} is no audit line") from None
        if record.n != count or record.prev != head:
            raise AuditError(f"line {count} does not follow on the one before: something was changed or is missing")
        head = _digest(line)
    return count, head


def _digest(line: bytes) -> str:
    return hashlib.sha256(line).hexdigest()
