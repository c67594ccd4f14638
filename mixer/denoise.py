"""Noise suppression of one leg: that of WebRTC, by the package `webrtc-noise-gain`, which may be missing.

Works at 16 kHz, in pieces of 10 ms. What comes out is 6 ms later, and high-passed. Of the package's abilities only
the noise suppressor is used: gain is our own (`levelling`), and so is the decision who speaks (`talkers`).
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

try:
    from webrtc_noise_gain import AudioProcessor
except ImportError:
    AudioProcessor = None

RATE: Final = 16000
PIECE: Final = RATE // 100
STRENGTH: Final = 3
"""Of 1 to 4, `high`: steady noise becomes 16 dB less."""
AVAILABLE: Final = AudioProcessor is not None

Voice = NDArray[np.float32]


class Denoiser:
    """Knows the noise of one leg."""

    def __init__(self) -> None:
        self._processor = AudioProcessor(0, STRENGTH)

    def clean(self, voice: Voice) -> Voice:
        """The next float32[samples], a multiple of 10 ms, without its noise."""
        pcm = np.clip(np.rint(voice), -32767, 32767).astype(np.int16).reshape(-1, PIECE)
        cleaned = b"".join(self._processor.Process10ms(piece.tobytes()).audio for piece in pcm)
        return np.frombuffer(cleaned, np.int16).astype(np.float32)
