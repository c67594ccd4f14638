"""Door: where TLS clients come in. A connection counts from when it is accepted, not only when its handshake is done.

The loop's own server would hold any number of clients that never say a word, each with a descriptor, until their
handshakes time out. Must never know what is said on a connection, or how many are too many.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections import Counter
from collections.abc import Callable, Coroutine
from typing import Any, Final

from control.sip.flows import Address

HasRoom = Callable[[str, Counter[str]], bool]
"""Whether a source may begin a handshake, beside those that are under way, by source."""


class Door:
    """One listening socket.

    Args:
        make: a protocol for a client whose handshake is done.
        handshake_s: how long one may take.
    """

    def __init__(
        self, context: ssl.SSLContext, make: Callable[[], asyncio.Protocol], has_room: HasRoom, handshake_s: float
    ) -> None:
        self._context = context
        self._make = make
        self._has_room = has_room
        self._handshake_s = handshake_s
        self._shaking = Counter[str]()
        self._tasks: set[asyncio.Task[None]] = set()
        self._socket: socket.socket | None = None

    async def open(self, host: str, port: int) -> Address:
        """Listen. Raises `OSError`."""
        loop = asyncio.get_running_loop()
        found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        listener = socket.create_server(found[0][4][:2], family=found[0][0], backlog=_BACKLOG)
        listener.setblocking(False)
        self._socket = listener
        self._run(self._accept(listener))
        bound: Address = listener.getsockname()[:2]
        return bound

    async def close(self) -> None:
        """Accept nobody, and let nobody finish."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._socket is not None:
            self._socket.close()

    async def _accept(self, listener: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                client, (source, *_) = await loop.sock_accept(listener)
            except ConnectionAbortedError:
                continue
            except OSError:  # no descriptor left
                await asyncio.sleep(_PAUSE_S)
                continue
            if self._has_room(source, self._shaking):
                self._shaking[source] += 1
                self._run(self._shake(client, source))
            else:
                client.close()

    async def _shake(self, client: socket.socket, source: str) -> None:
        try:
            await asyncio.get_running_loop().connect_accepted_socket(
                self._make, client, ssl=self._context, ssl_handshake_timeout=self._handshake_s
            )
        except OSError:  # it is no TLS, too slow, or shows a certificate that we do not take
            client.close()
        finally:
            self._shaking[source] -= 1
            if not self._shaking[source]:
                del self._shaking[source]

    def _run(self, coroutine: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


_BACKLOG: Final = 100
_PAUSE_S: Final = 1.0
