"""The desk of the studio: files for an engine's prompts, and a recorder for its taps.

Floor 3: it reads and writes, in threads. Must never know: sockets, clocks, or what is in a mix.
"""

from __future__ import annotations

import asyncio
import contextlib
import os

from mixer.config import MixerConfig
from mixer.engine import Engine
from mixer.port import Event, PlayStart, PortError, RecordStart, RecordStop, Refusal, Reply
from mixer.studio.folder import Folder, FolderError
from mixer.studio.promptfiles import PromptFileError, PromptFiles
from mixer.studio.recorder import Recorder, Room, free_at
from mixer.studio.recordfiles import OpusFile, WavFile
from mixer.studio.recording import Recording


class Studio:
    """Plays files into an engine and records what comes out of it."""

    def __init__(self, config: MixerConfig, engine: Engine, recorder: Recorder | None = None) -> None:
        """`recorder`: one as the configuration says if omitted."""
        self._config, self._engine = config, engine
        self._prompts = PromptFiles(Folder(config.prompts, "[mixer] prompts"))
        self._recordings = Folder(config.recordings, "[mixer] recordings")
        self._room = Room(config.record_max_mb << 20, config.record_min_free_mb << 20, free_at(config.recordings))
        self.recorder = Recorder(self._room) if recorder is None else recorder
        self._beginning = 0
        """Recordings whose files are being made."""

    async def play(self, wish: PlayStart) -> Reply:
        """Read the file of a wish, and play it. Raises `PortError`."""
        assert wish.file is not None
        try:
            samples = await self._prompts.load(wish.file)
        except (FolderError, PromptFileError) as error:
            raise PortError(Refusal.BAD_FILE, str(error)) from None
        return self._engine.play(wish, samples)

    async def record(self, wish: RecordStart) -> Reply:
        """Make a file, and record to it. Raises `PortError`, and then there is no file."""
        if wish.record in self.recorder:
            raise PortError(Refusal.DUPLICATE_RECORD, f"{wish.record!r} is still being written; take another name")
        if len(self.recorder) + self._beginning >= self._config.max_records:
            text = f"{self._config.max_records} recordings are running; stop one, or raise max_records"
            raise PortError(Refusal.LIMIT, text)
        conference, rate = self._engine.recordable(wish)
        self._beginning += 1
        try:
            recording = await asyncio.to_thread(self._open, wish, conference, rate)
        except FolderError as error:
            raise PortError(Refusal.BAD_FILE, str(error)) from None
        finally:
            self._beginning -= 1
        try:
            reply = self._engine.apply(wish)
        except PortError:  # while the file was made, its conference went, or another took the name
            await asyncio.to_thread(self._discard, recording)
            raise
        self.recorder.begin(recording)
        return reply

    def stop_recording(self, wish: RecordStop) -> Reply:
        """End a recording. Raises `PortError` UNKNOWN_RECORD."""
        reply = self._engine.apply(wish)
        self.recorder.end(wish.record)
        return reply

    def after_tick(self) -> list[Event]:
        """Hand on what the tick has for recordings; returns what is to be told."""
        self.recorder.feed(self._engine.taps(), self._config.tick_ms)
        finished = self.recorder.finished()
        for one in finished:
            with contextlib.suppress(PortError):  # it was stopped by its controller, or went with its leg
                self._engine.apply(RecordStop(record=one.record))
        return list(finished)

    async def close(self) -> list[Event]:
        """Complete all files; returns what is to be told."""
        self._prompts.close()
        await asyncio.to_thread(self.recorder.close)
        return list(self.recorder.finished())

    def _open(self, wish: RecordStart, conference: str, rate: int) -> Recording:
        descriptor = self._recordings.create(wish.file)
        try:
            self._check_space()
        except FolderError:
            os.close(descriptor)
            self._recordings.remove(wish.file)
            raise
        make = OpusFile if wish.format == "opus" else WavFile
        try:
            return Recording(wish, conference, make(descriptor, rate), rate)
        except OSError as error:
            self._recordings.remove(wish.file)
            raise FolderError(f"{wish.file!r}: {error.strerror}") from None

    def _check_space(self) -> None:
        """Raises `FolderError`."""
        try:
            free = self._room.free()
        except OSError as error:
            raise FolderError(f"what is free on the disk cannot be seen: {error.strerror}") from None
        if free < self._room.least_free:
            raise FolderError("the disk is full: `record_min_free_mb` must stay free")

    def _discard(self, recording: Recording) -> None:
        with contextlib.suppress(OSError):
            recording.file.close()
        with contextlib.suppress(FolderError):  # somebody else has taken it away
            self._recordings.remove(recording.wish.file)
