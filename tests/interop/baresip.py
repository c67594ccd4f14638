"""baresip as a test's telephone: it dials or answers, says a tone, and writes down what it hears.

Knows: the files from which baresip 1.0 starts, and the words of its `ctrl_tcp` module (JSON in netstrings).
Must never know: what is called. Its SRTP is its own, not libsrtp.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Literal, Self

from tests.interop.ports import free_block
from tests.interop.programs import Program, running
from tests.interop.wav import read_wav, write_tone
from tests.tones import Samples

MediaEncryption = Literal["srtp-mand", "srtp-mandf", "srtp", "dtls_srtp", ""]
Transport = Literal["udp", "tcp", "tls"]

_RATE: Final = 8000
_PATIENCE_S: Final = 10.0
_GOODBYE_S: Final = 1.0
_CALL_PORTS: Final = 16
_MODULES: Final = Path("/usr/lib/baresip/modules")


@dataclass(frozen=True)
class Settings:
    """What may differ from phone to phone.

    `srtp-mand` offers RTP/SAVP, `srtp` offers RTP/AVP with keys, `srtp-mandf` RTP/SAVPF. With TLS, `cafile` is
    what a server's certificate must hang from.
    """

    tone_hz: float = 440.0
    mediaenc: MediaEncryption = "srtp-mand"
    codecs: str = "pcma"
    answermode: Literal["manual", "auto"] = "manual"
    transport: Transport = "udp"
    user: str = ""
    password: str = ""
    rtcp_mux: bool = False
    cafile: Path | None = None


class Baresip:
    """One telephone with one line. Use it as `async with Baresip(folder, "alice") as alice`."""

    def __init__(self, folder: Path, name: str, settings: Settings | None = None, **changes: Any) -> None:
        self.name = name
        self.settings = settings or Settings(**changes)
        self.events: list[dict[str, Any]] = []
        self._folder = folder / f"baresip-{name}"
        self._ports = free_block()
        self._tokens = itertools.count(1)
        self._replies: dict[str, asyncio.Future[dict[str, Any]]] = {}
        self._stack = contextlib.AsyncExitStack()

    @property
    def uri(self) -> str:
        """Where it can be called."""
        transport = self.settings.transport
        suffix = "" if transport == "udp" else f";transport={transport}"
        return f"sip:{self.name}@127.0.0.1:{self._sip_port}{suffix}"

    # -- calls --------------------------------------------------------------------------------

    async def dial(self, uri: str) -> None:
        await self.command("dial", uri)

    async def established(self, seconds: float = _PATIENCE_S) -> None:
        """Wait until a call is up."""
        await self.wait_for("CALL_ESTABLISHED", seconds)

    async def closed(self, seconds: float = _PATIENCE_S) -> str:
        """Wait until a call has ended. Returns the reason that baresip gives, such as "486 Busy Here"."""
        return str((await self.wait_for("CALL_CLOSED", seconds)).get("param", ""))

    async def answer(self) -> None:
        await self.command("accept")

    async def hang_up(self) -> None:
        """End the call; what was heard is whole afterwards."""
        await self.command("hangup")

    async def hold(self) -> None:
        await self.command("hold")

    async def resume(self) -> None:
        await self.command("resume")

    # -- what it tells ------------------------------------------------------------------------

    def heard(self) -> Path:
        """The file of what it decoded in its last call; whole when the call is over. A hold ends the file."""
        return self._dump("dec")

    def samples(self) -> tuple[Samples, int]:
        """What it decoded, and the rate."""
        return read_wav(self.heard())

    def of(self, kind: str) -> list[dict[str, Any]]:
        """The events of a kind (CALL_RINGING, CALL_ESTABLISHED, CALL_MENC, CALL_RTCP, CALL_CLOSED ...)."""
        return [event for event in self.events if event.get("type") == kind]

    async def wait_for(self, kind: str, seconds: float = _PATIENCE_S) -> dict[str, Any]:
        """The first event of a kind, once it is there."""
        await self._until(lambda: bool(self.of(kind)), seconds, f"{kind} of {self.name}")
        return self.of(kind)[0]

    def words(self) -> str:
        """What it printed, every SIP message included."""
        return self._program.words()

    async def command(self, word: str, params: str = "") -> str:
        """One of baresip's own long commands; returns what it prints for it."""
        token = str(next(self._tokens))
        request = json.dumps({"command": word, "params": params, "token": token}).encode()
        reply = self._replies[token] = asyncio.get_running_loop().create_future()
        self._writer.write(b"%d:%b," % (len(request), request))
        async with asyncio.timeout(_PATIENCE_S):
            return str((await reply).get("data", ""))

    # -- life ---------------------------------------------------------------------------------

    async def __aenter__(self) -> Self:
        self._write_profile()
        command = ("baresip", "-4", "-s", "-f", str(self._folder))
        try:
            self._program: Program = await self._stack.enter_async_context(running(self._folder / "log", *command))
            reader, self._writer = await self._connect()
            self._stack.callback(self._writer.close)
            listening = asyncio.create_task(self._listen(reader))
            self._stack.callback(listening.cancel)
        except BaseException:
            await self._stack.aclose()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._say_goodbye()
        await self._stack.aclose()
        if error is not None:
            print(f"--- baresip {self.name}\n{self.words()}")

    async def _say_goodbye(self) -> None:
        """The first signal ends its calls, which takes an answer to each BYE; the second, of `running`, insists."""
        process = self._program.process
        with contextlib.suppress(ProcessLookupError, TimeoutError):
            process.terminate()
            async with asyncio.timeout(_GOODBYE_S):
                await process.wait()

    @property
    def _sip_port(self) -> int:
        return self._ports

    @property
    def _control_port(self) -> int:
        return self._ports + 2

    def _write_profile(self) -> None:
        self._folder.mkdir()
        (self._folder / "snd").mkdir()
        write_tone(self._folder / "tone.wav", self.settings.tone_hz, rate=_RATE)
        (self._folder / "config").write_text(self._config())
        (self._folder / "accounts").write_text(self._account())
        (self._folder / "contacts").write_text("")

    def _config(self) -> str:
        # TLS is taken on the port above the one for UDP and TCP.
        lines = {
            "sip_listen": f"127.0.0.1:{self._sip_port}",
            "net_interface": "127.0.0.1",
            "rtp_ports": f"{self._ports + 4}-{self._ports + 4 + _CALL_PORTS - 1}",
            "rtcp_mux": "yes" if self.settings.rtcp_mux else "no",
            "audio_source": f"aufile,{self._folder}/tone.wav",
            "audio_player": "aufile,none",  # nothing is played: decoding goes on all the same
            "ausrc_srate": str(_RATE),
            "auplay_srate": str(_RATE),
            "ausrc_channels": "1",
            "auplay_channels": "1",
            "snd_path": f"{self._folder}/snd",
            "module_path": str(_MODULES),
            "module_tmp": "account.so",
            "ctrl_tcp_listen": f"127.0.0.1:{self._control_port}",
        }
        if self.settings.cafile is not None:
            lines["sip_cafile"] = str(self.settings.cafile)
        modules = [("module", name) for name in ("g711", "aufile", "sndfile", "uuid", "srtp", "dtls_srtp")]
        modules += [("module_app", name) for name in ("menu", "ctrl_tcp")]
        text = [f"{key}\t{value}" for key, value in lines.items()]
        return "\n".join([*text, *(f"{key}\t{name}.so" for key, name in modules)]) + "\n"

    def _account(self) -> str:
        options = {
            "regint": "0",
            "answermode": self.settings.answermode,
            "mediaenc": self.settings.mediaenc,
            "audio_codecs": self.settings.codecs,
            "ptime": "20",
            "auth_user": self.settings.user,
            "auth_pass": self.settings.password,
        }
        transport = "" if self.settings.transport == "udp" else f";transport={self.settings.transport}"
        chosen = "".join(f";{key}={value}" for key, value in options.items() if value)
        return f"<sip:{self.name}@127.0.0.1:{self._sip_port}{transport}>{chosen}\n"

    def _dump(self, side: str) -> Path:
        files = sorted((self._folder / "snd").glob(f"*-{side}.wav"), key=lambda path: path.stat().st_mtime_ns)
        assert files, f"{self.name} heard no media: {self.words()}"
        return files[-1]

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        async with asyncio.timeout(_PATIENCE_S):
            while True:
                assert self._program.process.returncode is None, self.words()
                with contextlib.suppress(ConnectionError):
                    return await asyncio.open_connection("127.0.0.1", self._control_port)
                await asyncio.sleep(0.02)

    async def _listen(self, reader: asyncio.StreamReader) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                size = int((await reader.readuntil(b":"))[:-1])
                message = json.loads((await reader.readexactly(size + 1))[:-1])
                if message.get("event"):
                    self.events.append(message)
                elif (reply := self._replies.pop(message.get("token", ""), None)) is not None:
                    reply.set_result(message)

    async def _until(self, holds: Callable[[], bool], seconds: float, what: str) -> None:
        try:
            async with asyncio.timeout(seconds):
                while not holds():
                    assert self._program.process.returncode is None, self.words()
                    await asyncio.sleep(0.02)
        except TimeoutError:
            raise AssertionError(f"no {what} in {seconds:g} s:\n{self.words()}") from None
