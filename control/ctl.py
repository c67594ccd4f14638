"""`mrfp ctl`: the control protocol for people.

Exit status: 0 done, 1 the mixer refused, 2 the command makes no sense, 3 no mixer answers.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from control import ctlargs, ffmpeg, kekfile, keyfiles, listen, tables, wording
from control.api import Method
from control.client import Disconnected, MixerClient
from control.dialler import Client, Misaddressed
from control.errors import ControlError
from control.focus.messages import FOCUS, CallDial, RoomNames
from control.keywrap import Wrapper
from control.messages import Missed
from mixer import port
from mixer.secret import Secret

S = TypeVar("S", bound=msgspec.Struct)
DONE, REFUSED, MISUSED, UNREACHABLE = range(4)


class Misuse(Exception):
    """The command makes no sense; the message says what would."""


def main(arguments: Sequence[str]) -> int:
    """Run one command; returns the exit status."""
    words = list(arguments)
    if "call" in words[:-1] and words[words.index("call") + 1].startswith(("sip:", "sips:")):
        words.insert(words.index("call") + 1, "dial")  # mrfp ctl call sip:bob@host room
    options = ctlargs.parser().parse_args(words)
    try:
        asyncio.run(_run(options))
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # `mrfp ctl events | head` has seen enough; Python's last flush must not complain.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return DONE
    except Misaddressed as error:
        return _complain(str(error), MISUSED)
    except Disconnected as error:
        return _complain(f"{error}\nIs it running? Start one with `mrfp {_service(options)}`.", UNREACHABLE)
    except ControlError as error:
        word = f" [{error.refusal}]" if error.refusal else ""
        makes = error.refusal == port.Refusal.KEY_MISSING and "generate" in options
        return _complain(f"{error}{word}{_MAKE_KEYS if makes else ''}", REFUSED)
    except (Misuse, keyfiles.KeyFileError) as error:
        return _complain(str(error), MISUSED)
    return DONE


def client(
    address: str | None,
    certificate: Path | None,
    key: Path | None,
    authority: Path | None,
    kek: Wrapper | None = None,
) -> MixerClient:
    """A client for an address as people write it; the default socket if None."""
    address = address or str(listen.find_socket())
    if not address.startswith(("unix:", "tls:")):
        address = f"unix:{address}"
    return MixerClient(address, certificate=certificate, key=key, authority=authority, kek=kek)


def _service(options: argparse.Namespace) -> str:
    """Which daemon a command is for."""
    method = options.method
    return "focus" if isinstance(method, Method) and method.name in FOCUS.methods else "serve"


async def _run(options: argparse.Namespace) -> None:
    if _service(options) == "focus":
        await _ask_focus(options)
        return
    certificate, key, authority = (
        getattr(options, f"tls_{name}", None) for name in ("certificate", "key", "authority")
    )
    async with client(getattr(options, "socket", None), certificate, key, authority, _kek(options)) as mixer:
        method: Method | str = options.method
        if not isinstance(method, Method):
            _print(await _find_leg(mixer, options.leg), options)
        elif method.name == "events.subscribe":
            await _watch(mixer, options)
        else:
            await _command(mixer, method, options)


async def _ask_focus(options: argparse.Namespace) -> None:
    chosen = getattr(options, "socket", None) or str(listen.default_socket("focus.sock", "MRFP_FOCUS_SOCKET"))
    address = chosen if chosen.startswith(("unix:", "tls:")) else f"unix:{chosen}"
    wanted = _checked(options, {})
    async with Client(FOCUS, address, timeout_s=60.0) as focus:
        if isinstance(wanted, CallDial):
            print(f"calling {wanted.uri} ...", file=sys.stderr)
        _print(await focus.request(options.method, wanted), options)


def _kek(options: argparse.Namespace) -> Wrapper | None:
    file, name = getattr(options, "kek_file", None), getattr(options, "kek", None)
    if file is None and name is not None:
        raise Misuse("--kek names a key of a file: give that with --kek-file")
    return None if file is None else kekfile.choose(file, name)


async def _command(mixer: MixerClient, method: Method, options: argparse.Namespace) -> None:
    keys, made = await _keys(mixer, method, options)
    # Files first: a key that the mixer has and nobody else is of no use.
    saved = [
        keyfiles.save(options.save_keys, f"{_subject(options)}-{name}", keys[name].secret)
        for name in made
        if options.save_keys
    ]
    try:
        reply = await mixer.request(method, _checked(options, keys))
    except (ControlError, Misuse):
        for path in saved:
            path.unlink(missing_ok=True)
        raise
    _print(reply, options)
    for path in saved:
        print(f"saved {path}", file=sys.stderr)
    if made and options.show_keys:
        _show({name: keys[name] for name in made}, options, reply)


async def _keys(
    mixer: MixerClient, method: Method, options: argparse.Namespace
) -> tuple[dict[str, port.Key], list[str]]:
    """The keys of a command, and the names of those that were made for it."""
    fields = ctlargs.key_fields(method)
    named = {name: getattr(options, f"{ctlargs.KEY_FIELDS[name]}key_file") for name in fields}
    if list(named.values()).count("-") > 1:
        raise Misuse("only one key can be read from standard input")
    keys = {name: _key(name, options, keyfiles.read(file, options.suite)) for name, file in named.items() if file}
    if not fields or not options.generate:
        if method.name == "key.prepare" and not keys:
            raise Misuse("give the key with --key-file, or have one made with --generate")
        return keys, []
    if not options.show_keys and not options.save_keys:
        raise Misuse("a made key that nobody sees is of no use: add --show-keys or --save-keys DIR")
    made = [name for name in await _needed(mixer, method, options) if name not in keys]
    return keys | {name: _key(name, options, keyfiles.fresh(options.suite)) for name in made}, made


async def _needed(mixer: MixerClient, method: Method, options: argparse.Namespace) -> list[str]:
    """The keys to make: the group key, or those of the leg's directions."""
    if method.name != "leg.add":
        return ["key"]
    conference = await mixer.call(port.ConferenceShow(conference=options.conference))
    shared = (options.keying or conference.keying) == "group" and conference.style == "ssrc" and not options.bridged
    up = [] if options.uplink == "group" else ["rx"]
    return up if shared else [*up, "tx"]


def _key(field: str, options: argparse.Namespace, secret: Secret) -> port.Key:
    prefix = ctlargs.KEY_FIELDS[field]
    chosen: dict[str, object] = {"suite": options.suite, "secret": secret}
    for name in ("mki", "epoch", "roc", "max_age_s", "max_packets"):
        value = getattr(options, prefix + name, None)
        if value is not None:
            chosen[name] = value
    return _converted(chosen, port.Key)


def _checked(options: argparse.Namespace, keys: dict[str, port.Key]) -> msgspec.Struct:
    """The request that the options describe. Raises `Misuse`."""
    method: Method = options.method
    return _converted(ctlargs.fields(method, options) | keys, method.params)


def _converted(fields: dict[str, Any], kind: type[S]) -> S:
    try:
        return msgspec.convert(fields, kind)
    except msgspec.ValidationError as error:
        raise Misuse(wording.of(error, kind).replace("$.", "")) from None


async def _find_leg(mixer: MixerClient, leg: str) -> port.LegStatus:
    for name in (await mixer.call(port.ConferenceList())).conferences:
        for status in (await mixer.call(port.ConferenceShow(conference=name))).legs:
            if status.leg == leg:
                return status
    text = f"there is no leg {leg}; `mrfp ctl node audit` lists all"
    raise ControlError(1002, text, port.Refusal.UNKNOWN_LEG)


async def _watch(mixer: MixerClient, options: argparse.Namespace) -> None:
    asked = {"events": options.events, "conference": options.conference}
    await mixer.request(options.method, _converted(asked, options.method.params))
    left = options.count
    async for event in mixer.events():
        print(_event_line(event, getattr(options, "json", False)), flush=True)
        left = None if left is None else left - 1
        if left == 0:
            return
    raise Disconnected("the mixer went away")


def _event_line(event: port.Event | Missed, as_json: bool) -> str:
    if as_json:
        return msgspec.json.encode(event).decode()
    name = "missed" if isinstance(event, Missed) else str(event.__struct_config__.tag)
    facts = " ".join(f"{field}={_fact(getattr(event, field))}" for field in event.__struct_fields__)
    return f"{datetime.now().astimezone():%H:%M:%S} {name:<16} {facts}"


def _fact(value: object) -> str:
    if isinstance(value, list):
        return msgspec.json.encode(value).decode()
    return tables.cell(value)


def _print(reply: msgspec.Struct, options: argparse.Namespace) -> None:
    if getattr(options, "json", False):
        print(msgspec.json.encode(reply).decode())
    elif isinstance(reply, port.Done):
        print("done")
    elif isinstance(reply, port.ConferenceNames):
        print("\n".join(reply.conferences) or "no conferences")
    elif isinstance(reply, RoomNames):
        print("\n".join(reply.rooms) or "no rooms")
    elif isinstance(reply, port.Levels):
        rows = [(leg, str(level)) for leg, level in reply.levels.items()]
        print(tables.grid(("leg", "dBov"), rows) if rows else "no legs")
    else:
        print(tables.render(reply))


def _show(keys: dict[str, port.Key], options: argparse.Namespace, reply: msgspec.Struct) -> None:
    """Made keys, on standard error, so that `--json` output stays clean of them."""
    for name, key in keys.items():
        print(f"\n# {_PURPOSE[name]}", file=sys.stderr)
        print(keyfiles.sdp_line(key.suite, key.secret, key.mki), file=sys.stderr)
        if isinstance(reply, port.LegAdded):
            _show_clients(name, key, options, reply)
    if isinstance(reply, port.LegAdded) and reply.stream.epoch:
        print(
            "\n# the leg hears with the group key of its conference, shown or saved when it was made", file=sys.stderr
        )


def _show_clients(name: str, key: port.Key, options: argparse.Namespace, reply: port.LegAdded) -> None:
    """How to use a leg's key with a client that most people have."""
    codec, remote = options.codec or "PCMU", options.remote
    if name == "rx" and (line := ffmpeg.speaking(key, reply, codec, remote)):
        where = f"; {ffmpeg.MIXER} is the mixer's address" if ffmpeg.MIXER in line else ""
        hint = "from the leg's port, which ffplay then can't have" if remote else "from anywhere"
        print(f"# speak a file into the conference ({hint}{where}):\n{line}", file=sys.stderr)
    if name == "tx" and remote and (sdp := ffmpeg.listening(key, reply, codec, remote)):
        hint = "# listen: save this as leg.sdp, then ffplay -protocol_whitelist file,udp,rtp,srtp leg.sdp"
        print(f"{hint}\n{sdp}", file=sys.stderr)


def _subject(options: argparse.Namespace) -> str:
    """A file name for the keys of a conference, a cohort, an epoch or a leg."""
    name = str(getattr(options, "leg", None) or options.conference)
    if getattr(options, "cohort", None):
        name = f"{name}-cohort{options.cohort}"
    safe = "".join(letter if letter.isalnum() or letter in "-_." else "_" for letter in name).lstrip(".")
    epoch = getattr(options, "epoch", None)
    return f"{safe}-{epoch}" if epoch is not None else safe


def _complain(text: str, status: int) -> int:
    print(f"mrfp ctl: {text}", file=sys.stderr)
    return status


_MAKE_KEYS = "\nWith --generate --show-keys the keys that are missing are made, and printed."
_PURPOSE = {
    "key": "the group key: everyone in the conference hears with it",
    "uplink_key": "the group key that legs send with",
    "rx": "the leg sends with this key",
    "tx": "the leg hears with this key",
}
