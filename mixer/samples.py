"""Samples, and the one value that is none."""

from __future__ import annotations

from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

Samples: TypeAlias = NDArray[np.int16]

EMPTY: Final = -32768
"""The sample value that means "nobody wrote here". No decoder may return it."""
