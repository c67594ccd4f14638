"""The settings file from which liblinphone 5.1 starts.

Knows: its sections, and the ports that a telephone takes. Must never know: calls.
"""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass, field
from pathlib import Path
from typing import Final, Literal

from bench.phones.ports import free_block
from bench.phones.wav import write_tone

MediaEncryption = Literal["none", "srtp", "dtls"]
Transport = Literal["udp", "tcp", "tls"]

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

Section = dict[str, object]


@dataclass(eq=False)
class Profile:
    """One telephone. `user` and `password` are for digest authentication, by MD5 or SHA-256.

    `mandatory` refuses calls that are not encrypted; without it, a refused RTP/SAVP is tried again as RTP/AVP.
    `auto_answer` takes every call. Over TLS (1.2) `cafile` is what the certificate of a server must hang from.
    """

    folder: Path
    name: str
    _: KW_ONLY
    tone_hz: float = 440.0
    media_encryption: MediaEncryption = "srtp"
    mandatory: bool = True
    suites: str = _SUITES
    codecs: str = "pcma"
    auto_answer: bool = False
    transport: Transport = "udp"
    user: str = ""
    password: str = field(default="", repr=False)
    cafile: Path | None = None
    ports: int = field(default_factory=free_block)

    @property
    def uri(self) -> str:
        """Where it can be called."""
        parameter = "" if self.transport == "udp" else f";transport={self.transport}"
        return f"sip:{self.name}@127.0.0.1:{self.ports}{parameter}"

    @property
    def home(self) -> Path:
        """The folder of all its files."""
        return self.folder / f"linphone-{self.name}"

    def write(self) -> None:
        """Make the folder and the files."""
        (self.home / ".local/share/linphone").mkdir(parents=True)  # without a folder for its data it hangs
        write_tone(self.home / "tone.wav", self.tone_hz)
        sections: dict[str, Section] = {
            "sip": self._sip(),
            "rtp": {"audio_rtp_port": self.ports + 4, "bind_address": "127.0.0.1"},  # goes into c= as well
            "net": {"dns_srv_enabled": 0},
            "sound": {"echocancellation": 0, "local_ring": "", "remote_ring": ""},
            "misc": {"user_certificates_path": "certificates", "zrtp_secrets_cache": "zid"},
            **self._codecs(),
        }
        if self.user:
            sections["auth_info_0"] = {"username": self.user, "passwd": self.password, "realm": "*"}
        lines = [
            line
            for title, section in sections.items()
            for line in (f"[{title}]", *(f"{key}={value}" for key, value in section.items()))
        ]
        (self.home / "rc").write_text("\n".join(lines) + "\n")

    def _sip(self) -> Section:
        port = {kind: self.ports if kind == self.transport else 0 for kind in ("udp", "tcp", "tls")}
        section: Section = {
            "sip_port": port["udp"],
            "sip_tcp_port": port["tcp"],
            "sip_tls_port": port["tls"],
            "bind_address": "127.0.0.1",
            "contact": f"<{self.uri}>",
            "guess_hostname": 0,
            "use_ipv6": 0,
            "ipv6_migration_done": 1,  # or it takes IPv6 all the same, and offers an address of the machine
            "media_encryption": self.media_encryption,
            "media_encryption_mandatory": int(self.mandatory),
            "srtp_crypto_suites": self.suites,
            "keepalive_period": 0,
            "default_proxy": -1,
        }
        if self.cafile is not None:
            section |= {"root_ca": self.cafile, "verify_server_certs": 1}
        return section

    def _codecs(self) -> dict[str, Section]:
        wanted = self.codecs.upper().split(",")
        return {
            f"audio_codec_{n}": {
                "mime": mime,
                "rate": rate,
                "channels": channels,
                "enabled": int(mime.upper() in wanted),
            }
            for n, (mime, rate, channels) in enumerate(_CODECS)
        }
