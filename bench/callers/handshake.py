"""DTLS-SRTP of a caller (RFC 5763): one handshake on its media socket, and the keys of both directions.

Knows: the association of the mixer (OpenSSL beneath it) and the clock. Must never know: SIP, or RTP.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Final

from mixer.certificate import Identity
from mixer.dtls import Association, Endpoint, Keys, Stage
from mixer.port import Fingerprint

LOOK_S: Final = 0.1
"""How often OpenSSL may look whether a flight is to be sent again."""


class Handshake:
    """From the agreed roles to the keys; `done` is called with them once."""

    def __init__(
        self,
        identity: Identity,
        trusted: Sequence[tuple[str, str]],
        *,
        send: Callable[[bytes], None],
        done: Callable[[Keys], None],
    ) -> None:
        """`trusted`: fingerprints from the SDP of the other side."""
        self._endpoint = Endpoint(identity)
        self._trusted, self._send, self._done = tuple(trusted), send, done
        self._association: Association | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._told = False

    @property
    def failure(self) -> str:
        """Why there will be no keys; empty while there may be."""
        failed = self._association is not None and self._association.stage is Stage.FAILED
        return self._association.reason if failed and self._association is not None else ""

    def begin(self) -> None:
        """Be the client."""
        self._association = self._endpoint.call(self._accepts)
        self._association.advance()
        self._look()

    def receive(self, datagram: bytes) -> None:
        """A datagram of the other side; as a server it is the first thing that happens."""
        if self._association is not None:
            self._association.receive(datagram)
            self._flush()
            return
        greeted = self._endpoint.greet(datagram, b"the one socket", 0, self._accepts)
        if isinstance(greeted, Association):
            self._association = greeted
            greeted.advance()
            self._look()
        else:
            for answer in greeted:
                self._send(answer)

    def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def _look(self) -> None:
        if self._association is None or self._association.stage is not Stage.SHAKING:
            return
        self._association.retransmit()
        self._timer = asyncio.get_running_loop().call_later(LOOK_S, self._look)
        self._flush()

    def _flush(self) -> None:
        assert self._association is not None
        for datagram in self._association.take():
            self._send(datagram)
        if self._association.stage is Stage.DONE and not self._told:
            self._told = True
            self._done(self._association.keys())

    def _accepts(self, shown: list[Fingerprint]) -> bool:
        return any((one.hash, one.value) in self._trusted for one in shown)
