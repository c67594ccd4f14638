"""Prompts: files and tones that conferences, or some of their legs, are played.

playbill    what plays, by name, and who is still there to hear it
playing     one of them: where it stands, how loud, and for whom
sounds      what can be played: recorded samples, and tones
promptmix   one tick of all of them, at the rates of the mixes
overlay     how that is laid over a finished mix
"""

from __future__ import annotations

from mixer.prompts.playbill import JOIN, LEAVE, Prompts

__all__ = ["JOIN", "LEAVE", "Prompts"]
