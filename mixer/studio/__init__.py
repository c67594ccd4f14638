"""The studio: what an engine needs of the disk, in threads of its own. Floor 3.

desk         serves the commands that need a file
folder       the only files that may be touched
promptfiles  reads what is to be played
recorder     writes what is recorded, and never lets a tick wait
recording    one recording: what it lost, and when it must end
recordfiles  WAV and Matroska, playable at any moment
"""

from __future__ import annotations

from mixer.studio.desk import Studio

__all__ = ["Studio"]
