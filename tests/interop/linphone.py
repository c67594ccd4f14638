"""linphonec as a test's telephone: it dials or answers, plays a tone, and records what it hears.

Knows: the settings file of liblinphone 5.1 and the words of its console. Must never know: what is called.
Its SRTP is libsrtp, its SIP is belle-sip.
"""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Literal, Self

from tests.interop.ports import free_block
from tests.interop.wav import read_wav, write_tone
from tests.tones import Samples

MediaEncryption = Literal["none", "srtp", "dtls"]
Transport = Literal["udp", "tcp", "tls"]

_RATE: Final = 8000
_PATIENCE_S: Final = 10.0
_SUITES: Final = "AES_CM_128_HMAC_SHA1_80, AES_CM_128_HMAC_SHA1_32, AES_256_CM_HMAC_SHA1_80"

_CODECS: Final = (
    ("PCMA", 8000, 1),
    ("PCMU", 8000, 1),
    ("opus", 48000, 2),
    ("speex", 16000, 1),
    ("speex", 8000, 1),
    ("G729", 8000, 1),
)
"""All that it would offer by itself: what is not named here is added to the offer."""


@dataclass(frozen=True)
class Settings:
    """What may differ from phone to phone.

    `mandatory` refuses calls that are not encrypted. `auto_answer` takes every call. With TLS, `cafile` is what
    a server's certificate must hang from.
    """

    tone_hz: float = 440.0
    media_encryption: MediaEncryption = "srtp"
    mandatory: bool = True
    suites: str = _SUITES
    codecs: str = "pcma"
    auto_answer: bool = False
    transport: Transport = "udp"
    user: str = ""
    password: str = ""
    cafile: Path | None = None


class Linphone:
    """One telephone with one line. Use it as `async with Linphone(folder, "alice") as alice`."""

    def __init__(self, folder: Path, name: str, settings: Settings | None = None, **changes: Any) -> None:
        self.name = name
        self.settings = settings or Settings(**changes)
        self._folder = folder / f"linphone-{name}"
        self._ports = free_block()
        self._recording = self._folder / "heard.wav"

    @property
    def uri(self) -> str:
        """Where it can be called."""
        transport = self.settings.transport
        suffix = "" if transport == "udp" else f";transport={transport}"
        return f"sip:{self.name}@127.0.0.1:{self._ports}{suffix}"

    # -- calls --------------------------------------------------------------------------------

    async def dial(self, uri: str) -> None:
        self.enter(f"call {uri}")

    async def established(self, seconds: float = _PATIENCE_S) -> None:
        """Wait until a call is up."""
        await self.wait_for("LinphoneCallStreamsRunning", seconds)

    async def closed(self, seconds: float = _PATIENCE_S) -> None:
        """Wait until a call has ended; what was heard is whole then."""
        await self.wait_for("LinphoneCallReleased", seconds)

    async def answer(self) -> None:
        self.enter("answer")

    async def hang_up(self) -> None:
        self.enter("terminate")

    async def hold(self) -> None:
        self.enter("pause")

    async def resume(self) -> None:
        self.enter("resume")

    async def press(self, digits: str) -> None:
        """Send digits as RFC 4733 events."""
        for digit in digits:
            self.enter(digit)
            await asyncio.sleep(0.3)

    # -- what it tells ------------------------------------------------------------------------

    def heard(self) -> Path:
        """The file of what it decoded; whole when the call is over."""
        assert self._recording.exists(), f"{self.name} heard no media: {self.words()}"
        return self._recording

    def samples(self) -> tuple[Samples, int]:
        """What it decoded, and the rate."""
        return read_wav(self.heard())

    async def wait_for(self, words: str, seconds: float = _PATIENCE_S) -> None:
        """Wait until it has said these words."""
        try:
            async with asyncio.timeout(seconds):
                while words not in self.words():
                    assert self._process.returncode is None, self.words()
                    await asyncio.sleep(0.05)
        except TimeoutError:
            raise AssertionError(f"no {words} of {self.name} in {seconds:g} s:\n{self.words()}") from None

    def log(self) -> str:
        """Its debug log: every SIP message, every change of a key."""
        path = self._folder / "log"
        return path.read_text(errors="replace") if path.exists() else ""

    def words(self) -> str:
        """What it printed, and its log."""
        return (self._folder / "console").read_text(errors="replace") + self.log()

    def enter(self, line: str) -> None:
        """Type a line at its console."""
        assert self._process.stdin is not None
        self._process.stdin.write(line.encode() + b"\n")

    # -- life ---------------------------------------------------------------------------------

    async def __aenter__(self) -> Self:
        (self._folder / ".local/share/linphone").mkdir(parents=True)  # without its folder it waits for ever
        tone = write_tone(self._folder / "tone.wav", self.settings.tone_hz, rate=_RATE)
        (self._folder / "rc").write_text(self._config())
        command = ["linphonec", *(["-a"] if self.settings.auto_answer else [])]
        command += ["-c", "rc", "-d", "6", "-l", "log"]
        with (self._folder / "console").open("wb") as sink:
            self._process = await asyncio.create_subprocess_exec(
                *command,
                stdin=asyncio.subprocess.PIPE,
                stdout=sink,
                stderr=sink,
                cwd=self._folder,
                env={"HOME": str(self._folder)},
            )
        try:
            self.enter("soundcard use files")
            self.enter(f"play {tone.name}")
            self.enter(f"record {self._recording.name}")
            await self.wait_for(f"record {self._recording.name}")
        except BaseException:
            await self._stop()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stop()
        if error is not None:
            print(f"--- linphone {self.name}\n{self.words()}")

    async def _stop(self) -> None:
        """Ask it to end; insist after a while."""
        if self._process.returncode is None:
            with contextlib.suppress(ConnectionError):
                self.enter("quit")
        try:
            async with asyncio.timeout(_PATIENCE_S):
                await self._process.wait()
        except TimeoutError:
            self._process.kill()
            await self._process.wait()

    def _config(self) -> str:
        settings, transport = self.settings, self.settings.transport
        port = {kind: self._ports if kind == transport else 0 for kind in ("udp", "tcp", "tls")}
        sip: dict[str, object] = {
            "sip_port": port["udp"],
            "sip_tcp_port": port["tcp"],
            "sip_tls_port": port["tls"],
            "bind_address": "127.0.0.1",
            "contact": f"<{self.uri}>",
            "guess_hostname": 0,
            "use_ipv6": 0,
            "ipv6_migration_done": 1,  # or it takes IPv6 all the same, and offers an address of the machine
            "media_encryption": settings.media_encryption,
            "media_encryption_mandatory": int(settings.mandatory),
            "srtp_crypto_suites": settings.suites,
            "keepalive_period": 0,
            "default_proxy": -1,
        }
        if settings.cafile is not None:
            sip |= {"root_ca": str(settings.cafile), "verify_server_certs": 1}
        sections: dict[str, dict[str, object]] = {
            "sip": sip,
            "rtp": {"audio_rtp_port": self._ports + 4, "bind_address": "127.0.0.1"},
            "net": {"dns_srv_enabled": 0},
            "sound": {"echocancellation": 0, "local_ring": "", "remote_ring": ""},
            "misc": {
                "user_certificates_path": self._folder / "certificates",
                "zrtp_secrets_cache": self._folder / "zid",
            },
        }
        wanted = settings.codecs.upper().split(",")
        for n, (mime, rate, channels) in enumerate(_CODECS):
            enabled = int(mime.upper() in wanted)
            sections[f"audio_codec_{n}"] = {"mime": mime, "rate": rate, "channels": channels, "enabled": enabled}
        if settings.user:
            sections["auth_info_0"] = {"username": settings.user, "passwd": settings.password, "realm": "*"}
        return "\n".join(
            f"[{name}]\n" + "".join(f"{key}={value}\n" for key, value in section.items())
            for name, section in sections.items()
        )
