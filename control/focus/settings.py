"""One TOML file configures all of `mrfp focus`. Every option has a default that works on one machine."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Final, Literal, TypeAlias

import msgspec

from control.listen import default_socket
from control.rekey.settings import RekeySettings
from control.sdp.terms import KNOWN_SUITES
from control.sip.settings import SipSettings
from control.tomlfile import LogSettings, SettingsError, TomlFile
from mixer.port import CodecName, Identifier, Opus, Rate, SwitchStyle
from mixer.suites import SuiteName

__all__ = ["FocusSettings", "RoomSettings", "SettingsError", "change", "load", "parse"]

Count: TypeAlias = Annotated[int, msgspec.Meta(ge=1, le=1_000_000)]
Seconds: TypeAlias = Annotated[float, msgspec.Meta(ge=0.0, le=86_400.0)]
Proof: TypeAlias = Literal["none", "digest", "certificate"]
DELIVERY_S: Final = {"ssrc": 600e-6, "mki": 300e-6}
"""What a re-INVITE and an INFO take of the focus (measured in docs/rekeying.md)."""


class MixerSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The `[mixer]` table: which mixer does the work."""

    address: str = ""
    """`unix:/path` or `tls://host:port`; the control socket of this machine if empty."""
    media_host: str = "127.0.0.1"
    """The address that phones are told to send media to: that of the mixer, as they see it."""
    media_host6: str = ""
    """The same for phones that offer IPv6; empty if the mixer has none."""
    certificate: str = ""
    """PEM file with the certificate of this focus, for tls://."""
    key: str = ""
    """PEM file with its private key."""
    authority: str = ""
    """PEM file with the authority that signs the mixer."""
    kek_file: str = ""
    """File with the key-encryption key (`mrfp kek`) under which every key goes to the mixer."""
    kek: str = ""
    """Name of the key in it; not needed if there is one."""


class KeysSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The `[keys]` table: where group keys come from, and who can follow a change."""

    kms: str = ""
    """`unix:/path` or `tls://host:port` of the KMS. Without one there are no group keys: every room is `unique`."""
    certificate: str = ""
    """PEM file with the certificate of this focus, for tls://."""
    key: str = ""
    """PEM file with its private key."""
    authority: str = ""
    """PEM file with the authority that signs the KMS."""
    for_life: tuple[str, ...] = ("baresip",)
    """Phones whose User-Agent holds one of these words are never given a second key: they say 200 to it and go on with
    the first. They stay on keys of their own."""
    max_age_s: Annotated[float, msgspec.Meta(gt=0)] = 600.0
    """The mixer destroys a group key at this age by itself, whatever becomes of the focus."""
    laggards: Literal["drop", "keep", "recall"] = "drop"
    """What becomes of a phone that has taken no new key for so long that the policy gives up, or that said yes to one
    and reports of nothing it hears since: it is hung up on, left in silence, or hung up on and called again."""


class TrustSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The `[trust]` table: how callers prove who they are."""

    callers: Proof = "none"
    """What a caller must show: nothing, a password (digest) or a TLS certificate. Who shows more is believed more."""
    realm: str = "mrfp"
    """What a phone is asked the password of."""
    users_file: str = ""
    """File (mode 0600) with one user a line: `name password`."""
    md5_only: tuple[str, ...] = ("baresip",)
    """Phones whose User-Agent holds one of these words are challenged with MD5 alone: they hang up when they see
    SHA-256, though MD5 stands beside it."""
    psks_file: str = ""
    """File (mode 0600) with one `identity base64-key` a line: who can take keys by MIKEY, in SIP INFO."""
    peers: tuple[str, ...] = ()
    """Whose P-Asserted-Identity (RFC 3325) is believed: names in TLS certificates, or addresses, over TCP and TLS."""
    admins: tuple[str, ...] = ()
    """SIP URIs of users who may add and remove others by REFER, and see everything in conference events."""


class RoomSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A `[room.NAME]` table; `[default_room]` is for all others."""

    subject: str = ""
    """What the room is about, for conference events."""
    pin: str = ""
    """Dialled as `sip:room;pin=1234@host`, or `sip:room+1234@host` where phones allow no parameters. Who dials none is
    asked for it, if it has digits only: keyed in and ended by #."""
    pin_prompt: str = ""
    """Played to who has still to key in the PIN, over and over: a file below the mixer's `prompts`; tones if empty."""
    keying: Literal["auto", "group", "unique"] = "auto"
    """`group`: one key a cohort for all who hear the same; `auto`: above a number of members."""
    style: SwitchStyle = "ssrc"
    """`ssrc`: for SDES phones. `mki`: one unbroken stream, for endpoints with MKI; others get keys of their own."""
    suite: SuiteName = "AES_CM_128_HMAC_SHA1_80"
    """Of group keys."""
    rekey: RekeySettings | None = None
    """`[room.NAME.rekey]`: the whole policy (docs/rekeying-policy.md). `keying` sets its mode, and `delivery_s` is that
    of SIP if it is left as it is."""
    rate: Rate | Literal["auto"] = "auto"
    """Sampling rate of the mix, Hz. `auto`: the lowest at which none of its phones loses anything."""
    max_talkers: Annotated[int, msgspec.Meta(ge=1, le=15)] = 8
    """How many of the loudest are mixed at a time."""
    members: Count = 10_000
    """Calls in the room at a time; beyond them there is 486, busy."""
    hold_music: bool = False
    """Mix what a phone sends that has put the room on hold: mostly it is music, which the others did not ask for."""
    clear: bool = False
    """Let in phones without SRTP. Whoever is on the way hears them, and all that they hear."""
    callers: Proof | None = None
    """What a caller must show to enter; as in `[trust]` if omitted."""
    allowed: tuple[str, ...] = ()
    """SIP URIs of users who may enter; everybody if empty."""
    observers: Proof = "digest"
    """What it takes to subscribe to conference events of this room; members of it may always."""

    def policy(self, *, kms: bool) -> RekeySettings:
        """The rekey policy. Without a KMS there are unique keys only; a key by SIP is dearer to deliver than others."""
        chosen = self.rekey or RekeySettings()
        if chosen.delivery_s == RekeySettings().delivery_s:
            chosen = msgspec.structs.replace(chosen, delivery_s=DELIVERY_S[self.style])
        return msgspec.structs.replace(chosen, mode=self.keying if kms else "unique")


_OPUS: Final = Opus()


class MediaSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The `[media]` table: what is agreed on in SDP."""

    codecs: tuple[CodecName, ...] = ("opus", "G722", "AMR-WB", "PCMU", "PCMA", "AMR")
    """Agreed on, best first. Those that the mixer has no library for are left out."""
    opus: Opus = _OPUS
    """`[media.opus]`: how Opus is encoded, at most; phones may ask for less."""
    suites: tuple[SuiteName, ...] = KNOWN_SUITES
    """Allowed for keys of one phone alone, best first."""
    silence_s: Seconds = 30.0
    """Hang up on a phone from which nothing authentic came for so long, unless it is on hold; 0 never."""


class LimitSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The `[limits]` table. Beyond them callers get 503 with Retry-After."""

    calls: Count = 5000
    """At a time, in all rooms."""
    calls_per_user: Count = 1000
    """Of one SIP URI; beyond them the user is 486, busy. A From line that nobody proved counts too."""
    rooms: Count = 1000
    """Open at a time."""
    rooms_on_dialling: bool = True
    """Make a room for whoever dials a name that none has."""
    joining: Count = 200
    """Calls being set up at a time."""
    call_s: Annotated[float, msgspec.Meta(gt=0)] = 86_400.0
    """No call lasts longer."""
    session_s: Annotated[int, msgspec.Meta(ge=90)] = 1800
    """Calls are refreshed within this time (RFC 4028), so that one whose phone has died on hold ends, too."""
    ringing_s: Annotated[float, msgspec.Meta(gt=0)] = 45.0
    """Whom we call may take so long to pick up."""
    retry_after_s: Count = 5
    """When to come again, as Retry-After says."""
    subscriptions: Count = 1000
    """To conference events, in all rooms."""
    pin_s: Annotated[float, msgspec.Meta(gt=0, le=3600)] = 30.0
    """So long may a caller take to key in a PIN."""
    pin_tries: Annotated[int, msgspec.Meta(ge=1, le=100)] = 3
    """Wrong PINs in one call, until it is hung up on."""
    wrong_pins: Count = 10
    """Of one caller within `wrong_pins_s`, dialled or keyed in; then no PIN of it is taken. A caller who has proved
    nothing is known by its address."""
    wrong_pins_s: Annotated[float, msgspec.Meta(gt=0, le=86_400)] = 600.0
    """See `wrong_pins`."""
    waiting: Count = 100
    """Callers who have still to key in a PIN, in all rooms; beyond them it must be dialled."""


class ControlSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The `[control]` table: for `mrfp ctl call` and its like."""

    socket: str = ""
    """Path of the Unix socket; empty for `focus.sock` beside the mixer's. `$MRFP_FOCUS_SOCKET` changes that."""

    def path(self) -> Path:
        """The Unix socket."""
        return Path(self.socket) if self.socket else default_socket("focus.sock", "MRFP_FOCUS_SOCKET")


class HttpSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The `[http]` table: `/metrics` and `/healthz`."""

    host: str = "127.0.0.1"
    """Address to serve them at."""
    port: Annotated[int, msgspec.Meta(ge=0, le=65535)] = 0
    """0 for none."""


class FocusSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Everything that `mrfp focus` can be told."""

    sip: SipSettings = SipSettings()
    mixer: MixerSettings = MixerSettings()
    keys: KeysSettings = KeysSettings()
    trust: TrustSettings = TrustSettings()
    media: MediaSettings = MediaSettings()
    limits: LimitSettings = LimitSettings()
    control: ControlSettings = ControlSettings()
    http: HttpSettings = HttpSettings()
    default_room: RoomSettings = RoomSettings()
    room: dict[Identifier, RoomSettings] = {}
    log: LogSettings = LogSettings()

    @property
    def domain(self) -> str:
        """Of our URIs."""
        if self.sip.domains:
            return self.sip.domains[0]
        everywhere = self.sip.host in ("0.0.0.0", "::")
        return self.sip.advertise or (self.mixer.media_host if everywhere else self.sip.host)


def _check(settings: FocusSettings, source: str) -> None:
    for place, address in (("[mixer] address", settings.mixer.address), ("[keys] kms", settings.keys.kms)):
        if address and not re.fullmatch(r"unix:.+|tls://.+:\d+", address):
            raise SettingsError(f"{source}: {place} is not an address: write unix:/path or tls://host:port")
    rooms = {"default_room": settings.default_room} | {f"room.{name}": one for name, one in settings.room.items()}
    for table, room in rooms.items():
        if room.keying == "group" and not settings.keys.kms:
            raise SettingsError(f"{source}: [{table}] keying `group` needs a KMS: say where it is in [keys] kms")
        if "digest" in (room.callers, settings.trust.callers) and not settings.trust.users_file:
            raise SettingsError(f"{source}: callers who show a password need [trust] users_file")
        if room.allowed and (room.callers or settings.trust.callers) == "none":
            raise SettingsError(
                f"{source}: [{table}] allowed needs callers `digest` or `certificate`: a From line is no proof"
            )


_FILE: Final = TomlFile(FocusSettings, "focus.toml", _check)
load, parse, change = _FILE.load, _FILE.parse, _FILE.change
"""See `TomlFile`."""
