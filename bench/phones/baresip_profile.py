"""The files from which baresip 1.0 starts.

Knows: their lines, and the ports that a telephone takes. Must never know: calls.
"""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass, field
from pathlib import Path
from typing import Final, Literal

from bench.phones.ports import BLOCK, free_block
from bench.phones.wav import write_tone

MediaEncryption = Literal["srtp-mand", "srtp-mandf", "srtp", "dtls_srtp", ""]
Transport = Literal["udp", "tcp", "tls"]

_RATES: Final = {"opus": 48000, "g722": 16000}
"""Of the sound that a codec takes, Hz, where it is not 8000."""
_MODULE_PATH: Final = Path("/usr/lib/baresip/modules")
_MODULES: Final = ("g711", "g722", "opus", "aufile", "sndfile", "uuid", "srtp", "dtls_srtp")
_APPLICATIONS: Final = ("menu", "ctrl_tcp")


@dataclass(eq=False)
class Profile:
    """One telephone. `user` and `password` are for digest authentication, of which it knows MD5 alone.

    `srtp-mand` offers RTP/SAVP, `srtp` offers RTP/AVP with keys, `srtp-mandf` RTP/SAVPF. Over TLS it takes any
    certificate of a server, with or without a file of authorities: linphone is the one that looks.
    """

    folder: Path
    name: str
    _: KW_ONLY
    tone_hz: float = 440.0
    mediaenc: MediaEncryption = "srtp-mand"
    codecs: str = "pcma"
    """What it offers, best first: `pcma`, `pcmu`, `g722/16000/1`, `opus/48000/1`. The first says at which rate it
    speaks."""
    answermode: Literal["manual", "auto"] = "manual"
    transport: Transport = "udp"
    user: str = ""
    password: str = field(default="", repr=False)
    rtcp_mux: bool = False
    ports: int = field(default_factory=free_block)

    @property
    def uri(self) -> str:
        """Where it can be called."""
        # It takes TLS on the port above the one for UDP and TCP.
        return f"sip:{self.name}@127.0.0.1:{self.ports + (self.transport == 'tls')}{self._parameter}"

    @property
    def home(self) -> Path:
        """The folder of all its files."""
        return self.folder / f"baresip-{self.name}"

    @property
    def rate(self) -> int:
        """Of what it says and writes down, Hz."""
        return _RATES.get(self.codecs.partition(",")[0].partition("/")[0], 8000)

    @property
    def control_port(self) -> int:
        return self.ports + 2

    def write(self) -> None:
        """Make the folder and the files."""
        (self.home / "snd").mkdir(parents=True)
        write_tone(self.home / "tone.wav", self.tone_hz, rate=self.rate)
        (self.home / "config").write_text(self._config())
        (self.home / "accounts").write_text(self._account())
        (self.home / "contacts").touch()

    @property
    def _parameter(self) -> str:
        return "" if self.transport == "udp" else f";transport={self.transport}"

    def _config(self) -> str:
        lines = {
            "sip_listen": f"127.0.0.1:{self.ports}",
            "net_interface": "127.0.0.1",
            "rtp_ports": f"{self.ports + 4}-{self.ports + BLOCK - 1}",
            "rtcp_mux": "yes" if self.rtcp_mux else "no",
            "audio_source": f"aufile,{self.home}/tone.wav",
            "audio_player": "aufile,none",  # nothing is played: decoding goes on all the same
            "ausrc_srate": str(self.rate),
            "auplay_srate": str(self.rate),
            "opus_stereo": "no",
            "opus_sprop_stereo": "no",
            "opus_bitrate": "64000",
            "opus_inbandfec": "yes",
            "ausrc_channels": "1",
            "auplay_channels": "1",
            "snd_path": f"{self.home}/snd",
            "module_path": str(_MODULE_PATH),
            "module_tmp": "account.so",
            "ctrl_tcp_listen": f"127.0.0.1:{self.control_port}",
        }
        text = [f"{key}\t{value}" for key, value in lines.items()]
        text += [f"module\t{name}.so" for name in _MODULES]
        text += [f"module_app\t{name}.so" for name in _APPLICATIONS]
        return "\n".join(text) + "\n"

    def _account(self) -> str:
        options = {
            "regint": "0",
            "answermode": self.answermode,
            "mediaenc": self.mediaenc,
            "audio_codecs": self.codecs,
            "ptime": "20",
            "auth_user": self.user,
            "auth_pass": self.password,
        }
        chosen = "".join(f";{key}={value}" for key, value in options.items() if value)
        return f"<sip:{self.name}@127.0.0.1:{self.ports}{self._parameter}>{chosen}\n"
