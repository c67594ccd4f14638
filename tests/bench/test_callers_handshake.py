"""DTLS of callers: two in memory agree on keys, but only under the certificates that were promised."""

from __future__ import annotations

import pytest

from bench.callers.handshake import Handshake
from mixer.certificate import Identity, self_signed
from mixer.dtls import Keys


def shown(identity: Identity) -> tuple[str, str]:
    name, value = identity.fingerprint.split()
    return name, value


@pytest.mark.parametrize(("client_is_right", "server_is_right"), [(True, True), (False, True), (True, False)])
async def test_both_must_show_what_was_promised(client_is_right: bool, server_is_right: bool) -> None:
    client_self, server_self, stranger = self_signed(), self_signed(), self_signed()
    to_server: list[bytes] = []
    to_client: list[bytes] = []
    keys: list[Keys] = []
    trusted = shown(server_self if server_is_right else stranger)
    client = Handshake(client_self, [trusted], send=to_server.append, done=keys.append)
    trusted = shown(client_self if client_is_right else stranger)
    server = Handshake(server_self, [("md5", "AA"), trusted], send=to_client.append, done=keys.append)
    client.begin()
    while to_server or to_client:
        if to_server:
            server.receive(to_server.pop(0))
        if to_client:
            client.receive(to_client.pop(0))
    client.close()
    server.close()
    if client_is_right and server_is_right:
        one, other = keys
        assert (one.tx == other.rx, one.rx == other.tx, one.suite == other.suite) == (True, True, True)
        assert (client.failure, server.failure) == ("", "")
    else:
        assert client.failure
        assert server.failure
