"""How a caller misbehaves. Values only; the call and the caller look here."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Final


@dataclass(frozen=True, slots=True, kw_only=True)
class Habits:
    """A good caller has none of these."""

    ignores_keys: bool = False
    """Says 200 to a new key and goes on with the old one, as baresip 1.0 does."""
    refuses_reinvite: bool = False
    """Says 488 to every offer in the call."""
    silent: bool = False
    """Never answers a request in the call, BYE excepted."""
    late_s: float = 0.0
    """Answers offers in the call so much later."""
    never_acks: bool = False
    """Does not acknowledge the 200 to its INVITE."""
    never_byes: bool = False
    """Vanishes in place of hanging up: no BYE, no media, no answer to anything."""
    clear_media: bool = False
    """Agrees to SRTP and sends clear RTP."""
    wrong_key: bool = False
    """Agrees to a key and sends under another."""
    says_nothing: bool = False
    """Sends no media at all."""
    mikey_deaf: bool = False
    """Answers INFO with 200 and no word about the key in it, as one does who has lost the pre-shared key."""

    @classmethod
    def named(cls, kind: str) -> Habits:
        """One habit by its name; `late_s` is two seconds.

        Raises:
            ValueError: for another name; says which there are.
        """
        known = [field.name for field in fields(cls)]
        if kind not in known:
            raise ValueError(f"no caller misbehaves by {kind!r}: choose of {', '.join(known)}")
        return cls(late_s=2.0) if kind == "late_s" else cls(**{kind: True})


GOOD: Final = Habits()
