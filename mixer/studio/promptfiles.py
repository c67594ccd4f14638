"""Prompt files: from a name to samples, in a thread of their own, so that no tick waits for a disk or a decoder.

What was read is kept, the latest first, while it fits. Files are hostile: their kind must be on a list (no
playlist that leads to other files), and what they unpack to is bounded, whatever they say of themselves.
"""

from __future__ import annotations

import asyncio
import os
from collections import OrderedDict
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final
from weakref import WeakValueDictionary

import av
import numpy as np
from numpy.typing import NDArray

from mixer.prompts.sounds import RATE
from mixer.studio.folder import Folder

LONGEST_S: Final = 600
"""Of one file."""
LARGEST: Final = 256 << 20
"""Octets of one file."""
KEPT: Final = 64 << 20
"""Octets of samples that are kept for the next time: one file of the longest, or many."""
IN_USE: Final = 512 << 20
"""Octets of all samples there are, those that play included."""
SLOWEST: Final = 4000
FASTEST: Final = 384_000
"""Sampling rates, Hz, that a file may have: what says it has one sample a second would take long to unpack."""
KINDS: Final = "wav,w64,aiff,au,flac,mp3,ogg,matroska,webm,mov,mp4,m4a,caf,amr,aac"
"""Demuxers of FFmpeg. None of them opens another file."""

Samples = NDArray[np.int16]
Identity = tuple[int, int, int, int]
"""Device, inode, time of the last change (ns) and octets of a file."""


class PromptFileError(Exception):
    """A file cannot be played; the message says why."""


class PromptFiles:
    """Reads what is to be played."""

    def __init__(self, folder: Folder) -> None:
        self._folder = folder
        self._reader = ThreadPoolExecutor(1, "prompts")
        # Both are touched by the reading thread only.
        self._kept: OrderedDict[Identity, Samples] = OrderedDict()
        self._in_use: WeakValueDictionary[Identity, Samples] = WeakValueDictionary()
        """What is kept or still plays."""

    async def load(self, name: str) -> Samples:
        """All of a file: int16[n], mono at `sounds.RATE`, not to be written to.

        Raises:
            FolderError: there is no such file that may be read.
            PromptFileError: it is not audio, or too long.
        """
        return await asyncio.get_running_loop().run_in_executor(self._reader, self.read, name)

    def read(self, name: str) -> Samples:
        """The same at once. Raises as `load` does."""
        found = self._folder.open(name)
        try:
            facts = os.fstat(found)
            identity = (facts.st_dev, facts.st_ino, facts.st_mtime_ns, facts.st_size)
            known = self._in_use.get(identity)
            if known is not None:
                self._keep(identity, known)
                return known
            if facts.st_size > LARGEST:
                raise PromptFileError(f"{name!r} is larger than {LARGEST >> 20} MB")
            samples = _decode(name, found)
        finally:
            os.close(found)
        if samples.nbytes + sum(some.nbytes for some in self._in_use.values()) > IN_USE:
            raise PromptFileError(f"{IN_USE >> 20} MB of sound are in use; let something end before {name!r}")
        self._in_use[identity] = samples
        self._keep(identity, samples)
        return samples

    def close(self) -> None:
        """Read nothing more."""
        self._reader.shutdown(wait=False, cancel_futures=True)

    def _keep(self, identity: Identity, samples: Samples) -> None:
        self._kept[identity] = samples
        self._kept.move_to_end(identity)
        while sum(kept.nbytes for kept in self._kept.values()) > KEPT:
            self._kept.popitem(last=False)


def _decode(name: str, descriptor: int) -> Samples:
    """The first audio stream of a file. Raises `PromptFileError`."""
    try:
        with (
            os.fdopen(descriptor, "rb", closefd=False) as file,
            av.open(file, "r", options={"format_whitelist": KINDS}, **_OF_TITLES) as container,
        ):
            return _samples(name, container)
    except (av.FFmpegError, OSError, ValueError) as error:  # also of a place in it that there cannot be
        reason = getattr(error, "strerror", None) or error
        raise PromptFileError(f"{name!r} is not audio that can be played: {reason}") from None


_OF_TITLES: Final[dict[str, Any]] = {} if int(av.__version__.partition(".")[0]) >= 19 else {"metadata_errors": "ignore"}
"""A title that is no UTF-8 is no reason to refuse a file. From PyAV 19 on it is none, and cannot be said."""


def _samples(name: str, container: av.container.InputContainer) -> Samples:
    if not container.streams.audio:
        raise PromptFileError(f"there is no sound in {name!r}")
    to_mono = av.AudioResampler(format="s16", layout="mono", rate=RATE)
    pieces: list[Samples] = []
    length = 0
    for frame in container.decode(audio=0):
        if not SLOWEST <= frame.sample_rate <= FASTEST:
            raise PromptFileError(f"{name!r} is of {frame.sample_rate} Hz; a prompt has {SLOWEST} to {FASTEST} Hz")
        for resampled in to_mono.resample(frame):
            pieces.append(resampled.to_ndarray()[0])
            length += len(pieces[-1])
        if length > LONGEST_S * RATE:
            raise PromptFileError(f"{name!r} is longer than {LONGEST_S} s")
    pieces += [resampled.to_ndarray()[0] for resampled in to_mono.resample(None)]
    if not length:
        raise PromptFileError(f"there is no sound in {name!r}")
    # Piece by piece: one copy of everything would keep the interpreter from the tick.
    samples = np.empty(sum(map(len, pieces)), np.int16)
    at = 0
    for piece in pieces:
        samples[at : at + len(piece)] = piece
        at += len(piece)
    samples.flags.writeable = False
    return samples
