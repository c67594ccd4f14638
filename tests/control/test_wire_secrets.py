"""I12 on the wire: with keys wrapped, nobody on the control socket's path learns any of them.

A real mixer and a real client, no TLS, and between them a proxy that keeps every octet of both
directions. A run with wrapping off must be found out: what finds nothing may be blind.
"""

from __future__ import annotations

import asyncio
import io
import secrets
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import Any, Final

import msgspec
import pytest

from control import envelope
from control.client import MixerClient
from control.errors import REFUSAL_CODES, ControlError
from control.http import of_mixer
from control.keywrap import Wrapper
from control.server import ControlServer
from mixer import port
from mixer.config import MixerConfig
from mixer.port import Refusal
from mixer.secret import Secret
from mixer.service import Service
from mixer.suites import SUITES, SuiteName
from tests.control.conftest import PATIENCE_S, Raw
from tests.leaks import leaks

KEK: Final = secrets.token_bytes(32)
SUITE: Final[SuiteName] = "AEAD_AES_256_GCM"


def wrapper() -> Wrapper:
    return Wrapper("k1", Secret(KEK))


class Proxy:
    """Stands between a client and a mixer, and writes everything down."""

    def __init__(self, path: Path, behind: Path) -> None:
        self.path, self.behind = path, behind
        self.asked, self.told = bytearray(), bytearray()
        self._running: list[asyncio.Task[None]] = []

    def _meet(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._running.append(asyncio.create_task(self._pass(reader, writer)))

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_unix_connection(str(self.behind))
        both = self._copy(reader, far_writer, self.asked), self._copy(far_reader, writer, self.told)
        await asyncio.gather(*both)

    @staticmethod
    async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, kept: bytearray) -> None:
        with suppress(ConnectionError):
            while octets := await reader.read(4096):
                kept += octets
                writer.write(octets)
                await writer.drain()
        writer.close()

    async def open(self, stack: AsyncExitStack) -> None:
        server = await asyncio.start_unix_server(self._meet, str(self.path))
        stack.callback(server.close)

    async def settle(self) -> None:
        """Wait until all has been passed on; the mixer has hung up."""
        await asyncio.gather(*self._running)


class Stage:
    """A mixer, a proxy before it, and the keys that must not be seen."""

    def __init__(self, server: ControlServer, proxy: Proxy, wraps: bool, boot: str) -> None:
        self.server, self.proxy, self.wraps, self.boot = server, proxy, wraps, boot
        self.secrets: dict[str, bytes] = {}
        self.shown: list[str] = []
        """What a program or a person may get to see: replies, errors, reprs."""

    def key(self, name: str, **fields: Any) -> port.Key:
        octets = self.secrets.setdefault(name, secrets.token_bytes(SUITES[SUITE].secret))
        return port.Key(suite=SUITE, secret=Secret(octets), **fields)

    async def does(self, mixer: MixerClient, command: msgspec.Struct) -> None:
        self.shown += [repr(command), f"{command}", repr(await mixer.call(command))]  # type: ignore[call-overload]

    async def fails(self, mixer: MixerClient, refusal: Refusal, command: msgspec.Struct) -> None:
        with pytest.raises(ControlError) as refused:
            await mixer.call(command)  # type: ignore[call-overload]
        assert refused.value.refusal is refusal
        self.shown += [repr(command), str(refused.value), repr(refused.value), str(refused.getrepr(showlocals=True))]

    def text(self, key: port.Key, leg: str) -> dict[str, Any]:
        """A leg's key as JSON has it, on the way that is tried here."""
        command = port.LegAdd(conference="room", leg=leg, rx=key)
        sent = envelope.seal(command, wrapper(), self.boot).rx if self.wraps else key
        assert sent is not None
        return {"suite": sent.suite, "secret": sent.secret.to_base64(), "mki": sent.mki, "kek": sent.kek}


@asynccontextmanager
async def stage(tmp_path: Path, name: str = "one", *, wraps: bool = True) -> AsyncIterator[Stage]:
    home = tmp_path / name
    home.mkdir()
    async with AsyncExitStack() as stack:
        service = Service(MixerConfig(host="127.0.0.1", port=0, max_legs=16))
        await service.start()
        stack.push_async_callback(service.stop)
        server = ControlServer(service, keks={"k1": wrapper()}, require_wrapped=wraps)
        proxy = Proxy(home / "proxy.sock", home / "mixer.sock")
        stack.push_async_callback(proxy.settle)
        stack.push_async_callback(server.stop)
        await server.listen_unix(home / "mixer.sock")
        await proxy.open(stack)
        yield Stage(server, proxy, wraps, str(service.info()["boot_id"]))


async def a_whole_life(here: Stage) -> None:
    """All that a controller does in an evening, well and badly."""
    async with MixerClient(f"unix:{here.proxy.path}", kek=wrapper() if here.wraps else None) as mixer:
        await mixer.subscribe()
        await _build(here, mixer)
        await _rekey(here, mixer)
        await _err(here, mixer)
        await _babble(here)
        for query in (port.ConferenceShow(conference="room"), port.ConferenceList()):
            await here.does(mixer, query)
        for method in ("node.info", "node.audit"):
            raw = await _raw(here.proxy.path)
            here.shown.append(repr(await raw.ask(_line(method, {}))))
            raw.writer.close()
        await here.does(mixer, port.LegRemove(leg="alice"))
        await here.does(mixer, port.ConferenceDestroy(conference="room"))
        here.shown.append(repr(mixer) + repr(vars(mixer)))


async def _build(here: Stage, mixer: MixerClient) -> None:
    create = port.ConferenceCreate(
        conference="room",
        keying="group",
        style="mki",
        key=here.key("group 1", mki="01"),
        uplink_key=here.key("uplink"),
    )
    await here.does(mixer, create)
    for number, leg in enumerate(("alice", "bob"), 0xA1):
        keys = {"rx": here.key(f"rx {leg}"), "tx": here.key(f"tx {leg}", mki=f"{number:02x}")}
        await here.does(mixer, port.LegAdd(conference="room", leg=leg, **keys))  # type: ignore[arg-type]


async def _rekey(here: Stage, mixer: MixerClient) -> None:
    await here.does(mixer, port.KeyPrepare(conference="room", key=here.key("group 2", mki="02", epoch=2)))
    await here.does(mixer, port.KeyActivate(conference="room", epoch=2))
    async with asyncio.timeout(PATIENCE_S):
        async for event in mixer.events():
            here.shown.append(repr(event))
            if isinstance(event, port.KeySwitched) and event.epoch == 2:
                break
    await here.does(mixer, port.KeyPrepare(conference="room", key=here.key("group 3", mki="03", epoch=3)))
    await here.does(mixer, port.KeyAbort(conference="room", epoch=3))


async def _err(here: Stage, mixer: MixerClient) -> None:
    prepare, key = port.KeyPrepare, here.key
    await here.fails(mixer, Refusal.BAD_EPOCH, prepare(conference="room", key=key("late", mki="04", epoch=2)))
    await here.fails(mixer, Refusal.KEY_REUSED, prepare(conference="room", key=key("group 1", mki="04", epoch=7)))
    await here.fails(mixer, Refusal.UNKNOWN_CONFERENCE, prepare(conference="gone", key=key("gone", epoch=7)))
    await here.fails(mixer, Refusal.INVALID, prepare(conference="room", key=key("roc", mki="05", epoch=8, roc=1)))
    twice = port.LegAdd(conference="room", leg="alice", rx=key("second rx"), tx=key("second tx", mki="b1"))
    await here.fails(mixer, Refusal.DUPLICATE_LEG, twice)
    one = port.LegAdd(conference="room", leg="carol", keying="unique", rx=key("both"), tx=key("both", mki="b2"))
    await here.fails(mixer, Refusal.BAD_KEY, one)
    again = port.ConferenceCreate(conference="room", key=key("another group"))
    await here.fails(mixer, Refusal.DUPLICATE_CONFERENCE, again)
    old = port.ConferenceCreate(conference="hall", key=key("for another life"), boot="an earlier one")
    await here.fails(mixer, Refusal.BAD_BOOT, old)


async def _babble(here: Stage) -> None:
    """Lines that are no commands, with keys in all the wrong places."""
    raw = await _raw(here.proxy.path)
    for line in _nonsense(here.text(here.key("rx dave"), "dave")):
        reply = await raw.ask(line)
        assert "error" in reply
        here.shown.append(repr(reply))
    raw.writer.close()


def _nonsense(key: dict[str, Any]) -> list[bytes]:
    text, good = key["secret"], {"conference": "room", "leg": "dave", "rx": key}
    return [
        _line("leg.add", good)[:-9],
        _line("leg.add", good) + b"}",
        _line("leg.add", good | {"tx": text}),
        _line("leg.add", good | {"codec": text}),
        _line("leg.add", good | {text: 1}),
        _line("leg.add", good | {"rx": key | {"suite": text}}),
        _line("leg.add", good | {"rx": key | {"kek": text}}),
        _line("leg.add", good | {"rx": key | {"secret": [text]}}),
        _line("leg.add", good | {"rx": key | {"secret": text + "!"}}),
        _line("leg.add", good | {"rx": key | {"mki": text}}),
        _line("leg.add", good | {"rx": key | {"kek": "k2"}}),
        _line(text, good),
        _line("leg.remove", {"leg": text}) if key["kek"] else _line("leg.remove", {"leg": [text]}),
        b"[" + _line("leg.add", good) + b"]",
        text.encode(),
    ]


def _line(method: str, params: dict[str, Any]) -> bytes:
    return msgspec.json.encode({"jsonrpc": "2.0", "id": secrets.token_hex(4), "method": method, "params": params})


async def _raw(path: Path) -> Raw:
    return Raw(*await asyncio.open_unix_connection(str(path)))


async def test_no_octet_of_a_key_is_seen(tmp_path: Path, log: io.StringIO) -> None:
    async with stage(tmp_path) as here:
        await a_whole_life(here)
        here.shown.append(repr(vars(here.server.director)) + repr(wrapper()) + repr(of_mixer(here.server.director)))
    everything = here.secrets | {"the key-encryption key": KEK}
    assert len(everything) > 15
    assert here.proxy.asked.count(b'"kek":"k1"') > 20, "the keys were on this wire"
    assert b"key_switched" in here.proxy.told
    assert "conference.create" in log.getvalue()
    assert not leaks(everything, bytes(here.proxy.asked))
    assert not leaks(everything, bytes(here.proxy.told))
    assert not leaks(everything, log.getvalue())
    assert not leaks(everything, "\n".join(here.shown))


async def test_without_wrapping_every_key_is_seen(tmp_path: Path, log: io.StringIO) -> None:
    """The control run: the same life, the same search; and still no key comes back, or into the log."""
    async with stage(tmp_path, wraps=False) as here:
        await a_whole_life(here)
    assert leaks(here.secrets, bytes(here.proxy.asked)) == set(here.secrets)
    assert not leaks(here.secrets, bytes(here.proxy.told))
    assert not leaks(here.secrets, log.getvalue())
    assert not leaks(here.secrets, "\n".join(here.shown))


async def test_a_clear_key_that_is_refused_is_not_told_back(tmp_path: Path, log: io.StringIO) -> None:
    async with stage(tmp_path) as here:
        async with MixerClient(f"unix:{here.proxy.path}") as mixer:
            await here.fails(mixer, Refusal.BAD_KEY, port.ConferenceCreate(conference="room", key=here.key("clear")))
        here.wraps = False
        await _babble(here)
    assert leaks(here.secrets, bytes(here.proxy.asked)) == set(here.secrets)
    assert not leaks(here.secrets, bytes(here.proxy.told))
    assert not leaks(here.secrets, log.getvalue() + "\n".join(here.shown))


async def test_a_capture_is_of_no_use_to_another_life_of_the_mixer(tmp_path: Path) -> None:
    async with stage(tmp_path) as here:
        await a_whole_life(here)
    lines = [line for line in here.proxy.asked.splitlines() if b'"kek":"k1"' in line]
    tried = 0  # of those that were commands once
    async with stage(tmp_path, "two") as there:
        raw = await _raw(there.proxy.path)
        for number, line in enumerate(lines):
            with suppress(msgspec.DecodeError, TypeError):  # some were no JSON objects even then
                again = msgspec.json.encode(msgspec.json.decode(line) | {"id": number})
                error = (await raw.ask(again))["error"]
                if error["code"] == REFUSAL_CODES[Refusal.BAD_KEY]:
                    assert error["message"].partition(": ")[2].startswith("it does not unwrap")
                    tried += 1
                else:
                    assert error["code"] < 0, "it came as far as the mixer"
        raw.writer.close()
    assert tried > 10
