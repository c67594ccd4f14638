"""The recorder: takes what was mixed, and has a thread of its own write it to files.

Whoever feeds it never waits. What waits to be written is bounded; beyond that it is dropped, counted, and
becomes silence in the file, so that a recording keeps time whatever the disk does. A file that grows too
large, or a disk that runs full, ends that recording and nothing else.
"""

from __future__ import annotations

import errno
import os
import threading
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

import structlog

from mixer.port import RecordDone, RecordReason
from mixer.studio.recording import NOTHING, Piece, Recording
from mixer.taps import Tap

BACKLOG_MS: Final = 5000
"""So much may wait to be written, of each recording, in pieces of a tick."""
WAKE: Final = 10
"""So many wait before the thread is woken: a wake a tick would be many for nothing."""
FAREWELL_S: Final = 5.0
"""How long the end of the mixer waits for files to be completed."""

log = structlog.get_logger("mixer")


@dataclass(frozen=True, slots=True)
class Room:
    """How much of a disk recordings may take.

    Attributes:
        most: octets of one file.
        least_free: octets of the file system that are left to others.
        free: octets of the file system that are free now. Raises `OSError`.
    """

    most: int
    least_free: int
    free: Callable[[], int]

    def exhausted(self, recording: Recording) -> RecordReason | None:
        """Why a recording must end now, if it must. Raises `OSError`."""
        if recording.file.octets >= min(self.most, recording.file.most):
            return "limit"
        return "full" if self.free() < self.least_free else None


def free_at(directory: str) -> Callable[[], int]:
    """What asks for the free octets of a file system, as they are for who is not root."""

    def free() -> int:
        facts = os.statvfs(directory)
        return facts.f_bavail * facts.f_frsize

    return free


class Recorder:
    """Writes recordings.

    Args:
        room: how much it may write.
        threaded: have a thread that calls `work`; else somebody else must.
    """

    def __init__(self, room: Room, *, threaded: bool = True) -> None:
        self._room, self._threaded = room, threaded
        self._by_name: dict[str, Recording] = {}
        self._open: deque[Recording] = deque()
        """Those that `work` looks after."""
        self._finished: deque[tuple[Recording, RecordReason]] = deque()
        self._wake = threading.Event()
        self._thread: threading.Thread | None = None
        self._stopping = False
        self.lost_ms = 0
        """Milliseconds of all recordings that became silence."""

    def __len__(self) -> int:
        return len(self._by_name)

    def __contains__(self, name: str) -> bool:
        """True until its file is complete and `finished` has said so."""
        return name in self._by_name

    def begin(self, recording: Recording) -> None:
        """Write to a file that was opened."""
        self._by_name[recording.wish.record] = recording
        self._open.append(recording)
        if self._threaded and self._thread is None:
            # A daemon: a disk that hangs must not keep the process alive.
            self._thread = threading.Thread(target=self._run, name="recorder", daemon=True)
            self._thread.start()

    def feed(self, taps: Iterable[Tap], tick_ms: int) -> None:
        """Take one tick of recordings. Never waits."""
        for tap in taps:
            recording = self._by_name.get(tap.record)
            if recording is None or recording.reason:
                continue
            if tap.samples is None:
                self._end(recording, "gone")
            elif len(recording.waiting) * tick_ms >= BACKLOG_MS:
                self._lose(recording, tick_ms)
            else:
                recording.waiting.append(Piece(recording.missing_ms, tap.rate, tap.samples))
                recording.missing_ms = 0
                if len(recording.waiting) >= WAKE:
                    self._wake.set()

    def skip(self, ms: int) -> None:
        """So much time passed in which nothing was mixed."""
        for recording in self._by_name.values():
            if recording.reason is None:
                self._lose(recording, ms)

    def end(self, name: str) -> None:
        """Complete the file of a recording that was stopped."""
        if name in self._by_name:
            self._end(self._by_name[name], "stopped")

    def finished(self) -> list[RecordDone]:
        """What has ended, and why, since the last call."""
        told = []
        while self._finished:
            recording, reason = self._finished.popleft()
            del self._by_name[recording.wish.record]
            told.append(recording.done(reason))
        return told

    def close(self) -> None:
        """End everything, and wait until the files are complete, but not for ever."""
        for recording in self._by_name.values():
            self._end(recording, "gone")
        self._stopping = True
        self._wake.set()
        if self._thread is None:
            self.work()
        else:
            self._thread.join(FAREWELL_S)

    def _end(self, recording: Recording, reason: RecordReason) -> None:
        if recording.reason is None:
            recording.waiting.append(Piece(recording.missing_ms, recording.rate, NOTHING))
            recording.reason = reason
            self._wake.set()

    def _lose(self, recording: Recording, ms: int) -> None:
        recording.missing_ms += ms
        recording.lost_ms += ms
        self.lost_ms += ms

    # -- the thread ---------------------------------------------------------------------------

    def _run(self) -> None:
        while not (self._stopping and not self._open):
            self._wake.wait()
            self._wake.clear()
            self.work()

    def work(self) -> None:
        """Write all that waits, and complete the files of what has ended. May take as long as the disk does."""
        for _ in range(len(self._open)):
            recording = self._open.popleft()
            reason = self._advance(recording)
            if reason is None:
                self._open.append(recording)
            else:
                self._finished.append((recording, reason))

    def _advance(self, recording: Recording) -> RecordReason | None:
        """Write what waits. Returns why the recording is over, if it is, with its file closed."""
        wanted = recording.reason  # before the last piece is taken, which came before it was set
        try:
            reason = self._write(recording) or wanted
            if reason:
                recording.file.close()
            return reason
        except OSError as error:
            full = error.errno in (errno.ENOSPC, errno.EDQUOT)
            log.error("a recording ended early", record=recording.wish.record, reason=str(error))
            return self._give_up(recording, "full" if full else "failed")
        except Exception:
            log.exception("fault in the recorder", record=recording.wish.record)
            return self._give_up(recording, "failed")

    def _write(self, recording: Recording) -> RecordReason | None:
        """Write what waits. Returns why no more may be written. Raises `OSError`."""
        while recording.waiting:
            for _ in recording.put(recording.waiting.popleft()):
                if reason := self._room.exhausted(recording):
                    return reason
        return None

    def _give_up(self, recording: Recording, reason: RecordReason) -> RecordReason:
        try:
            recording.file.close()
        except OSError as error:
            log.error("a recording could not be completed", record=recording.wish.record, reason=str(error))
        return reason
