"""Every word that control may say to a mixer.

Knows: what is asked. Must never know: what is answered, or how it is done.
"""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

import msgspec

from mixer.port.values import (
    Amr,
    CodecName,
    Cohort,
    Direction,
    Dtls,
    Endpoint,
    Epoch,
    ExtensionId,
    FileName,
    Gain,
    Identifier,
    Key,
    KeyDirection,
    Keying,
    Opus,
    PayloadType,
    Position,
    Ptime,
    Rate,
    RecordFormat,
    Ssrc,
    SwitchStyle,
    Tone,
    Value,
)

# ---------------------------------------------------------------------------------------------
# Conferences


class ConferenceCreate(Value, frozen=True, kw_only=True):
    """Create a conference. Legs hear the sum of its loudest talkers, without themselves."""

    conference: Identifier
    rate: Rate | Literal["auto"] = "auto"
    """Sampling rate of the mix, Hz. `auto`: the lowest at which none of its legs loses anything, from 8000 (G.711) to
    48000 (Opus); changed in pauses as legs come and go. Legs with another rate are resampled."""
    keying: Keying = "unique"
    """How legs are keyed unless they say otherwise."""
    style: SwitchStyle = "ssrc"
    """How a receiver learns which key a packet has. `ssrc`: no MKI, a fresh SSRC at ROC 0 for every
    epoch. `mki`: one unbroken SSRC and sequence, the MKI names the key."""
    key: Key | None = None
    """The first group key of cohort 0: protects the common mix for its legs with `keying: group`."""
    uplink_key: Key | None = None
    """A group key for what legs send; legs that use it must declare their SSRC."""
    max_talkers: Annotated[int, msgspec.Meta(ge=1, le=15)] = 8
    """How many of the loudest legs are mixed at a time."""
    join_tone: bool = False
    """Play two rising notes to all whenever a leg is added."""
    leave_tone: bool = False
    """Play two falling notes to all whenever a leg is removed."""
    boot: str | None = None
    """If given, the `boot_id` of the mixer life this is meant for."""


class ConferenceModify(Value, frozen=True, kw_only=True):
    """Change what may change while a conference runs. Omitted fields stay."""

    conference: Identifier
    keying: Keying | None = None
    """For legs added from now on."""
    max_talkers: Annotated[int, msgspec.Meta(ge=1, le=15)] | None = None
    join_tone: bool | None = None
    leave_tone: bool | None = None


class ConferenceDestroy(Value, frozen=True, kw_only=True):
    """Remove a conference and all its legs; each is sent an RTCP BYE."""

    conference: Identifier


class ConferenceShow(Value, frozen=True, kw_only=True):
    """Ask for the state of one conference and of its legs."""

    conference: Identifier
    first: Annotated[int, msgspec.Meta(ge=0)] = 0
    """Leave out so many legs, in the order in which they joined, roughly."""
    limit: Annotated[int, msgspec.Meta(ge=0)] | None = None
    """Show so many legs at most; all if omitted."""


class ConferenceList(Value, frozen=True, kw_only=True):
    """Ask for the conferences of this mixer."""


class ConferenceLevels(Value, frozen=True, kw_only=True):
    """Ask how loud each leg of a conference is right now. Cheaper than `conference.show`."""

    conference: Identifier


# ---------------------------------------------------------------------------------------------
# Legs


class LegAdd(Value, frozen=True, kw_only=True):
    """Add a leg: one endpoint's two directions of media."""

    conference: Identifier
    leg: Identifier
    """Unique in the whole mixer."""
    codec: CodecName = "PCMU"
    rate: Rate | None = None
    """Clock rate of L16, Hz; the conference's rate if omitted. All others have one clock each."""
    payload_type: PayloadType | None = None
    """RTP payload type both ways; the static one of RFC 3551 if omitted (L16 96, opus 111, AMR 112, AMR-WB 113)."""
    opus: Opus | None = None
    """With codec `opus`: how to encode for the leg, if not as usual."""
    amr: Amr | None = None
    """With codecs `AMR` and `AMR-WB`: how packets are written, if not as usual."""
    comfort_noise: PayloadType | None = None
    """Payload type of comfort noise (RFC 3389), usually 13: what the leg sends under it is taken for silence, and
    when the conference is silent, the leg is sent it instead of encoded silence."""
    dtmf: PayloadType | None = None
    """Payload type of telephone events (RFC 4733), with the clock of the codec: keys pressed are told as `dtmf`."""
    dtmf_out: PayloadType | None = None
    """Payload type of the telephone events that the leg wants to be sent; `dtmf` if omitted."""
    ptime: Ptime = 20
    """Milliseconds of audio in each packet sent to the leg. What it sends may be 2.5 to 120."""
    direction: Direction = "sendrecv"
    """Seen from the endpoint: `recvonly` only listens, `sendonly` only speaks."""
    gain_db: Gain = 0.0
    """Applied to what the leg says before it is mixed."""
    agc: bool = False
    """Bring what the leg says slowly to the loudness at which all with `agc` are heard, on top of `gain_db`."""
    noise_suppression: bool = False
    """Take steady noise out of what the leg says. Leaves 8 kHz of its band, and takes 6 ms, or 8 to 11 where
    the leg or the mix is not at 16 kHz."""
    position: Position = 0.0
    """Where listeners in stereo hear the leg, -1 left to 1 right."""
    mute: bool = False
    """The leg goes on sending and is not mixed."""
    alone: bool = False
    """It is by itself: it hears what is played to it and nothing of the conference, not even who is in it, and is not
    mixed. For who has still to prove something. In style `mki` it needs `tx`."""
    rx: Key | None = None
    """The key that protects what the leg sends to us."""
    tx: Key | None = None
    """The leg's own key for what it hears. Needed for `keying: unique`, and in a conference of style
    `mki` for every leg that may speak."""
    clear: bool = False
    """Plain RTP both ways. Only if said so: a leg without keys is refused otherwise."""
    dtls: Dtls | None = None
    """Instead of `rx` and `tx`: keys by a DTLS-SRTP handshake. The keying must be `unique`. Nothing is sent to or
    accepted from the leg before its certificate was checked (`leg_secured`, `leg_insecure`)."""
    keying: Keying | None = None
    """`group`: hears the common mix under the conference's group key. The conference's if omitted."""
    cohort: Cohort = 0
    """`keying: group`: the cohort whose group key it hears."""
    bridged: bool = False
    """`keying: group`: begin under its own key `tx` and not yet under the group's (see `key.bridge`). A cohort
    without a group key takes only bridged legs."""
    uplink: Keying = "unique"
    """`group`: what the leg sends is under the conference's `uplink_key`; needs `ssrc`."""
    ssrc: Ssrc | None = None
    """The SSRC that the leg will send with. Claimed for it; any other leg using it is refused."""
    remote: Endpoint | None = None
    """Where to send, as `192.0.2.1:4000` or `[2001:db8::1]:4000`, until an authenticated packet shows
    a better address. If omitted, nothing is sent before one arrived. A leg of which neither `ssrc` is known nor an
    `own_port` is looked for at this address only: from elsewhere (NAT) its first packets are `unknown_source`."""
    rtcp_mux: bool = True
    """RTCP on the RTP port (RFC 5761), else on the port above at both ends."""
    own_port: bool = False
    """Give the leg a UDP port of its own instead of the shared media port."""
    level_in: ExtensionId | None = None
    """Header extension id of RFC 6464 levels in what the leg sends. A claim: silence is believed, and of a leg that
    goes on claiming it one packet in 16 is decrypted; loudness is measured."""
    level_out: ExtensionId | None = None
    """Header extension id of RFC 6465 mixer-to-client levels in what the leg hears."""
    timeout_s: Annotated[float, msgspec.Meta(ge=0.0, le=86400.0)] = 30.0
    """Raise `leg_timeout` when nothing authentic arrived for so long; 0 never."""
    remove_on_timeout: bool = False
    delay_min_ms: Annotated[int, msgspec.Meta(ge=0, le=200)] = 20
    """Playout delay to begin with, and never to go below."""
    delay_max_ms: Annotated[int, msgspec.Meta(ge=20, le=200)] = 200
    """Playout delay never to exceed: beyond it packets are late."""
    boot: str | None = None


class LegModify(Value, frozen=True, kw_only=True):
    """Change a leg while it talks. Omitted fields stay."""

    leg: Identifier
    direction: Direction | None = None
    gain_db: Gain | None = None
    agc: bool | None = None
    noise_suppression: bool | None = None
    position: Position | None = None
    mute: bool | None = None
    alone: bool | None = None
    remote: Endpoint | None = None
    timeout_s: Annotated[float, msgspec.Meta(ge=0.0, le=86400.0)] | None = None
    remove_on_timeout: bool | None = None


class LegRemove(Value, frozen=True, kw_only=True):
    """Remove a leg. The reply carries its final statistics. It is sent an RTCP BYE, unless all it heard was the
    common stream under a group key, which goes on: anybody could replay that goodbye to the others."""

    leg: Identifier
    bridge: bool = False
    """Bridge its cohort in the same step (see `key.bridge`): not one packet more goes out under a key it held. Of
    no effect if it hears no group key."""


class LegDial(Value, frozen=True, kw_only=True):
    """Tell an endpoint keys, as telephone events: 100 ms each, 50 ms between. It is sent them in place of sound, and
    must have been added with `dtmf` or `dtmf_out`."""

    leg: Identifier
    digits: Annotated[
        str,
        msgspec.Meta(
            pattern=r"^[0-9*#A-D]{1,64}$(?!\n)", extra={"words": "1 to 64 of the keys 0 to 9, *, # and A to D"}
        ),
    ]


# ---------------------------------------------------------------------------------------------
# Keys of a running conference


class _KeyCommand(Value, frozen=True, kw_only=True):
    """Whose key: a cohort's, or one leg's own."""

    conference: Identifier
    cohort: Cohort = 0
    """The cohort, for a group key of what its legs hear. One that is new begins here."""
    leg: Identifier | None = None
    """The leg, for a key of its own."""
    direction: KeyDirection = "tx"
    """`tx`: what legs hear. `rx`: what they send; without `leg`, the conference's `uplink_key`."""


class KeyPrepare(_KeyCommand, frozen=True, kw_only=True):
    """Give the mixer the next key; nothing is sent under it yet. What a leg sends under a prepared `rx` key is
    accepted from now on, and its first authentic packet activates the key."""

    key: Key
    boot: str | None = None


class KeyActivate(_KeyCommand, frozen=True, kw_only=True):
    """Switch to a prepared key. Of a cohort: all legs that are not bridged, at one packet. The key before is
    destroyed: at once for `tx`; for `rx` after a second, in which late packets are still accepted."""

    epoch: Epoch


class KeyRetire(_KeyCommand, frozen=True, kw_only=True):
    """Destroy a key that is in use, without a successor. The cohort is bridged; for `rx` this ends the second
    in which the key before is still accepted."""

    epoch: Epoch


class KeyAbort(_KeyCommand, frozen=True, kw_only=True):
    """Forget a prepared key. Its epoch can never become active."""

    epoch: Epoch


class KeyBridge(Value, frozen=True, kw_only=True):
    """Let legs hear the same mix under their own keys, encrypted per leg, instead of the group's; or end that.

    Who leaves can hear nothing more while the others are bridged; who has not got the next key loses nothing.
    In style `mki` it is the same unbroken stream. A leg without `tx` is sent nothing while it is bridged."""

    conference: Identifier
    cohort: Cohort = 0
    legs: tuple[Identifier, ...] | None = None
    """Which legs of the cohort; all if omitted."""
    on: bool
    """True to bridge, false to send under the group key again."""


# ---------------------------------------------------------------------------------------------
# Services


class PlayStart(Value, frozen=True, kw_only=True):
    """Play a file or tones to all of a conference, talkers too, or to some of its legs alone. A file is read first:
    the reply comes once it plays. Who hears the same shares one encode for each format; what legs hear that were added
    `alone` is remembered, and encoded once for all who hear it some time."""

    play: Identifier
    """Chosen by the controller; free again when `play_done` was told."""
    conference: Identifier | None = None
    """Play it to all of this conference."""
    legs: Annotated[tuple[Identifier, ...], msgspec.Meta(max_length=64)] = ()
    """Or to these legs of one conference alone. In a group-keyed conference of style `ssrc` what they hear is under
    the group key, and so no secret from the other members."""
    file: FileName | None = None
    """An audio file, by its path below the directory `[mixer] prompts`."""
    tones: Annotated[tuple[Tone, ...], msgspec.Meta(max_length=64)] = ()
    """Or tones, one after another; 20 ms or more in all."""
    times: Annotated[int, msgspec.Meta(ge=0, le=1_000_000)] = 1
    """How often; 0 for ever, until it is stopped."""
    gain_db: Gain = 0.0
    """Applied to the prompt."""
    duck_db: Annotated[float, msgspec.Meta(ge=0.0, le=60.0)] = 0.0
    """Lower the conference by so much for those who hear the prompt."""
    exclusive: bool = False
    """The prompt instead of the conference."""


class PlayStop(Value, frozen=True, kw_only=True):
    """Stop what plays. It fades out within a tick."""

    play: Identifier


class RecordStart(Value, frozen=True, kw_only=True):
    """Record all of a conference as its listeners hear it, prompts too, or what one leg says. A recording is never
    louder, longer or more complete than what is mixed: it never holds up a tick, and what the disk is too slow for
    becomes silence (`lost_ms`)."""

    record: Identifier
    """Chosen by the controller; free again when `record_done` was told."""
    conference: Identifier | None = None
    leg: Identifier | None = None
    """Instead of a conference."""
    file: FileName
    """The file to make, by its path below the directory `[mixer] recordings`. One that is there is never touched."""
    format: RecordFormat = "wav"
    """`wav`: 16 bit PCM. `opus`: Opus in Matroska (.mka). Either can be played while it grows, and after a crash."""


class RecordStop(Value, frozen=True, kw_only=True):
    """End a recording. `record_done` tells when the file is complete."""

    record: Identifier


Command: TypeAlias = (
    ConferenceCreate
    | ConferenceModify
    | ConferenceDestroy
    | ConferenceShow
    | ConferenceList
    | LegAdd
    | LegModify
    | LegRemove
    | LegDial
    | KeyPrepare
    | KeyActivate
    | KeyRetire
    | KeyAbort
    | KeyBridge
    | ConferenceLevels
    | PlayStart
    | PlayStop
    | RecordStart
    | RecordStop
)
