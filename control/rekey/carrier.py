"""What carries keys to members. The courier over UDP does if nothing else is given; a SIP focus brings its own.

Knows: the words. Must never know: keys, or when one is sent.
"""

from __future__ import annotations

from typing import Protocol

from control.rekey.signals import Signal


class Carrier(Protocol):
    """Takes what is to be sent, and returns at once. Whoever owns it hands answers to the driver.

    Nothing may be raised: what can't be sent is lost, and the policy sees to that.
    """

    def send(self, member: str, octets: bytes) -> None:
        """Send a MIKEY message; its answer goes to `Driver.heard`."""
        ...

    def signal(self, signal: Signal) -> None:
        """Tell a member a key, one after the other; the outcome goes to `Driver.signalled` or `unsignalled`."""
        ...
