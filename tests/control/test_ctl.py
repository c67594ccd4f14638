"""`mrfp ctl`, as people use it."""

from __future__ import annotations

import asyncio
import base64
import io
import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

import mixer
from control import ctl, keyfiles
from control.__main__ import main
from control.protocol import METHODS
from mixer import port
from tests.control.conftest import House, until
from tests.control.fakes import fresh_key, spellings, talking


async def run(house: House, *words: str) -> int:
    """Run a command against the house, in a thread: it has a loop of its own."""
    return await asyncio.to_thread(main, ["ctl", "--socket", str(house.path), *words])


async def test_a_conference_by_hand(house: House, capsys: pytest.CaptureFixture[str]) -> None:
    assert await run(house, "conference", "create", "room", "--rate", "16000", "--max-talkers", "3") == 0
    made = house.mixer.conferences["room"]
    assert (made.rate, made.max_talkers) == (16000, 3)
    words = ["--clear", "--remote", "127.0.0.1:5000", "--no-rtcp-mux", "--gain-db", "-3", "--ptime", "40"]
    assert await run(house, "leg", "add", "room", "alice", *words) == 0
    leg = house.mixer.legs["alice"]
    assert (leg.clear, leg.remote, leg.rtcp_mux, leg.gain_db, leg.ptime) == (
        True,
        "127.0.0.1:5000",
        False,
        -3.0,
        40,
    )
    capsys.readouterr()
    assert await run(house, "conference", "show", "room") == 0
    shown = capsys.readouterr().out
    assert "max_talkers  3" in shown
    assert "127.0.0.1:5000" in shown
    assert await run(house, "conference", "list") == 0
    assert capsys.readouterr().out == "room\n"
    assert await run(house, "leg", "show", "alice") == 0
    assert "jitter_ms         1.5" in capsys.readouterr().out
    assert await run(house, "leg", "modify", "alice", "--mute") == 0
    assert house.mixer.commands[-1] == port.LegModify(leg="alice", mute=True)
    assert await run(house, "leg", "remove", "alice") == 0
    assert await run(house, "conference", "destroy", "room") == 0


async def test_the_node(house: House, capsys: pytest.CaptureFixture[str]) -> None:
    assert await run(house, "node", "info") == 0
    out = capsys.readouterr().out
    assert "drops.auth_failed" in out
    assert "lateness_ms.p99" in out
    assert await run(house, "node", "info", "--json") == 0
    assert json.loads(capsys.readouterr().out)["boot_id"] == "b00t"
    await run(house, "conference", "create", "room")
    await run(house, "leg", "add", "room", "a", "--clear")
    capsys.readouterr()
    assert await run(house, "node", "audit") == 0
    assert "room" in capsys.readouterr().out
    assert await run(house, "node", "drain") == 0
    assert house.mixer.drained


async def test_keys_come_from_files(
    house: House, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    key = fresh_key("AEAD_AES_128_GCM")
    file = tmp_path / "group.key"
    file.write_text(base64.b64encode(key.secret.reveal()).decode() + "\n")
    words = ["--keying", "group", "--suite", "AEAD_AES_128_GCM", "--key-file", str(file), "--epoch", "4"]
    assert await run(house, "conference", "create", "room", *words, "--mki", "0a") == 0
    got = house.mixer.conferences["room"].key
    assert got is not None
    assert (got.secret, got.suite, got.epoch, got.mki) == (key.secret, "AEAD_AES_128_GCM", 4, "0a")
    monkeypatch.setattr(sys, "stdin", io.StringIO(key.secret.to_base64() + "\n"))
    more = ["--suite", "AEAD_AES_128_GCM", "--epoch", "5", "--key-file", "-"]
    assert await run(house, "key", "prepare", "room", *more) == 0
    assert await run(house, "key", "activate", "room", "5") == 0
    assert house.mixer.commands[-1] == port.KeyActivate(conference="room", epoch=5)
    printed = "".join(capsys.readouterr()).encode()
    for spelling in spellings(key.secret.reveal()):
        assert spelling not in printed


async def test_levels_are_a_table(house: House, capsys: pytest.CaptureFixture[str]) -> None:
    await run(house, "conference", "create", "room")
    capsys.readouterr()
    assert await run(house, "conference", "levels", "room") == 0
    assert capsys.readouterr().out == "no legs\n"
    await run(house, "leg", "add", "room", "alice", "--clear")
    capsys.readouterr()
    assert await run(house, "conference", "levels", "room") == 0
    assert capsys.readouterr().out == "leg    dBov\nalice  -23\n"


async def test_bridge_from_the_command_line(house: House) -> None:
    assert await run(house, "conference", "create", "room") == 0
    assert await run(house, "key", "bridge", "room", "on", "--cohort", "2", "--legs", "a", "b") == 0
    assert house.mixer.commands[-1] == port.KeyBridge(conference="room", cohort=2, legs=("a", "b"), on=True)
    assert await run(house, "key", "bridge", "room", "off") == 0
    assert house.mixer.commands[-1] == port.KeyBridge(conference="room", on=False)
    with pytest.raises(SystemExit) as misused:
        await run(house, "key", "bridge", "room", "perhaps")
    assert misused.value.code == 2


@pytest.mark.parametrize(("word", "rate"), [("auto", "auto"), ("16000", 16000)])
async def test_the_rate_is_a_number_or_a_word(house: House, word: str, rate: int | str) -> None:
    assert await run(house, "conference", "create", "room", "--rate", word) == 0
    assert house.mixer.commands[-1] == port.ConferenceCreate(conference="room", rate=rate)  # type: ignore[arg-type]


async def test_limits_of_a_key_from_the_command_line(house: House, tmp_path: Path) -> None:
    assert await run(house, "conference", "create", "room") == 0
    kept = tmp_path / "kept"
    words = ["--generate", "--save-keys", str(kept), "--epoch", "9", "--max-age-s", "600", "--max-packets", "1000"]
    assert await run(house, "key", "prepare", "room", "--cohort", "3", *words) == 0
    prepared = house.mixer.commands[-1]
    assert isinstance(prepared, port.KeyPrepare)
    assert (prepared.cohort, prepared.key.max_age_s, prepared.key.max_packets) == (3, 600.0, 1000)
    assert [path.name for path in kept.iterdir()] == ["room-cohort3-9-key.key"]


async def test_bad_key_files(house: House, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "k"
    for content, message in (
        (b"AAAA\n", "holds 3 octets; AES_CM_128_HMAC_SHA1_80 takes 30"),
        (b"not base64!\n", "does not hold a base64 key"),
        (b"\xff\xfe", "does not hold a base64 key"),
    ):
        file.write_bytes(content)
        assert await run(house, "key", "prepare", "room", "--key-file", str(file)) == ctl.MISUSED
        error = capsys.readouterr().err
        assert message in error
        assert "AAAA" not in error
    assert await run(house, "key", "prepare", "room", "--key-file", str(tmp_path / "no")) == ctl.MISUSED
    assert "cannot read" in capsys.readouterr().err
    assert await run(house, "key", "prepare", "room") == ctl.MISUSED
    words = ["--rx-key-file", "-", "--tx-key-file", "-"]
    assert await run(house, "leg", "add", "room", "a", *words) == ctl.MISUSED
    assert not house.mixer.commands


async def test_a_dtls_leg_by_hand(house: House, capsys: pytest.CaptureFixture[str]) -> None:
    await run(house, "conference", "create", "room")
    wish = port.Dtls(role="active", fingerprints=(port.Fingerprint(value=":".join(["AB"] * 32)),))
    words = ["--dtls", msgspec.json.encode(wish).decode(), "--remote", "127.0.0.1:5000"]
    assert await run(house, "leg", "add", "room", "a", *words) == 0
    assert house.mixer.legs["a"].dtls == wish
    with pytest.raises(SystemExit):
        main(["ctl", "leg", "add", "room", "b", "--dtls", "{"])
    assert "write it as JSON" in capsys.readouterr().err


async def test_made_keys_are_shown_only_when_asked(
    house: House, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    await run(house, "conference", "create", "room")
    capsys.readouterr()
    assert await run(house, "leg", "add", "room", "a", "--generate") == ctl.MISUSED
    assert "--show-keys" in capsys.readouterr().err
    assert await run(house, "leg", "add", "room", "a", "--generate", "--show-keys") == 0
    printed = capsys.readouterr()
    leg = house.mixer.legs["a"]
    assert leg.rx is not None
    assert leg.tx is not None
    assert keyfiles.sdp_line(leg.rx.suite, leg.rx.secret) in printed.err
    assert keyfiles.sdp_line(leg.tx.suite, leg.tx.secret) in printed.err
    assert "ffmpeg -nostdin" in printed.err
    assert "inline" not in printed.out
    assert await run(house, "leg", "add", "room", "b", "--generate", "--save-keys", str(tmp_path / "k")) == 0
    printed = capsys.readouterr()
    assert "inline" not in printed.out + printed.err
    saved = tmp_path / "k" / "b-rx.key"
    assert stat.S_IMODE(saved.stat().st_mode) == 0o600
    added = house.mixer.legs["b"].rx
    assert added is not None
    assert keyfiles.read(str(saved), added.suite) == added.secret


async def test_keys_of_a_refused_leg_are_not_kept(house: House, tmp_path: Path) -> None:
    await run(house, "conference", "create", "room")
    await run(house, "leg", "add", "room", "a", "--clear")
    words = ["--generate", "--save-keys", str(tmp_path / "k")]
    assert await run(house, "leg", "add", "room", "a", *words) == ctl.REFUSED
    assert not list((tmp_path / "k").iterdir())


async def test_a_listener_of_a_group_needs_no_key_of_its_own(house: House) -> None:
    words = ["--keying", "group", "--generate", "--show-keys"]
    assert await run(house, "conference", "create", "room", *words) == 0
    assert house.mixer.conferences["room"].key is not None
    assert await run(house, "leg", "add", "room", "a", "--generate", "--show-keys") == 0
    assert house.mixer.legs["a"].tx is None
    assert house.mixer.legs["a"].rx is not None


async def test_refusals_and_mistakes(house: House, capsys: pytest.CaptureFixture[str]) -> None:
    assert await run(house, "conference", "show", "nowhere") == ctl.REFUSED
    assert "there is no conference nowhere [unknown_conference]" in capsys.readouterr().err
    assert await run(house, "conference", "create", "two words") == ctl.MISUSED
    assert "conference" in capsys.readouterr().err
    assert await run(house, "leg", "show", "nobody") == ctl.REFUSED
    capsys.readouterr()
    assert await run(house, "events", "talkin") == ctl.MISUSED
    assert "one of auth_failures" in capsys.readouterr().err
    with pytest.raises(SystemExit) as usage:
        main(["ctl", "leg", "add", "room", "a", "--ptime", "25"])
    assert usage.value.code == ctl.MISUSED


def test_nobody_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["ctl", "--socket", f"{tmp_path}/no.sock", "node", "info"]) == ctl.UNREACHABLE
    error = capsys.readouterr().err
    assert "no mixer answers at unix:" in error
    assert "`mrfp serve`" in error


def test_what_is_wrong_with_an_address_is_no_question_of_who_is_there(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tls = [word for name in ("certificate", "key", "authority") for word in (f"--tls-{name}", str(tmp_path / name))]
    for address, words in (("tls://127.0.0.1:7443", "cannot load the TLS files"), ("tls:7443", "unix:/path or tls://")):
        assert main(["ctl", "--socket", address, *tls, "node", "info"]) == ctl.MISUSED
        error = capsys.readouterr().err
        assert words in error
        assert "running" not in error


async def test_what_is_expected_is_said_in_words(house: House, capsys: pytest.CaptureFixture[str]) -> None:
    await run(house, "conference", "create", "room")
    for words, field in (
        (["conference", "create", "two words"], "characters of printable ASCII without spaces - at `conference`"),
        (["leg", "add", "room", "a", "--remote", "host:1"], "192.0.2.1:4000 or [2001:db8::1]:4000 - at `remote`"),
        (["leg", "dial", "a", "12x"], "0 to 9, *, # and A to D - at `digits`"),
        (["play", "start", "p", "--legs", "a", "b c"], "characters of printable ASCII without spaces - at `legs[1]`"),
        (["key", "prepare", "room", "--generate", "--show-keys", "--mki", "xy"], "- at `mki`"),
        (["leg", "add", "room", "a", "--opus", '{"bitrate": 24}'], "`int` >= 6000 - at `opus.bitrate`"),
    ):
        assert await run(house, *words) == ctl.MISUSED
        error = capsys.readouterr().err
        assert field in error
        assert "regex" not in error


async def test_who_lacks_a_key_is_told_how_to_make_one(house: House, capsys: pytest.CaptureFixture[str]) -> None:
    await run(house, "conference", "create", "room")
    assert await run(house, "leg", "add", "room", "a") == ctl.REFUSED
    assert "--generate --show-keys" in capsys.readouterr().err


def test_the_version(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        main(["--version"])
    assert left.value.code == 0
    assert capsys.readouterr().out == f"mrfp {mixer.__version__}\n"


async def test_events(house: House, capsys: pytest.CaptureFixture[str]) -> None:
    watching = asyncio.create_task(run(house, "events", "talking", "--conference", "room", "--count", "1"))
    await until(lambda: bool(house.mixer.subscribers))
    house.mixer.emit(talking("x", "attic"), talking())
    assert await watching == 0
    assert "talking          conference=room leg=alice talking=yes" in capsys.readouterr().out
    watching = asyncio.create_task(run(house, "events", "--json", "--count", "1"))
    await until(lambda: bool(house.mixer.subscribers))
    house.mixer.emit(port.Overrun(ticks=2))
    assert await watching == 0
    assert json.loads(capsys.readouterr().out) == {"event": "overrun", "ticks": 2}


def test_there_is_a_command_and_help_for_every_method(capsys: pytest.CaptureFixture[str]) -> None:
    for name in METHODS:
        words = name.split(".") if not name.startswith("events") else ["events"]
        with pytest.raises(SystemExit) as left:
            main(["ctl", *words, "--help"])
        assert left.value.code == 0
        assert capsys.readouterr().out


def test_no_option_takes_a_key(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["ctl", "leg", "add", "--help"])
    out = capsys.readouterr().out
    assert "--rx-key-file" in out
    assert "--rx KEY" not in out
    assert "--secret" not in out


def test_sdp_with_an_mki() -> None:
    key = fresh_key()
    assert keyfiles.sdp_line(key.suite, key.secret, "000a").endswith("|10:2")


async def test_a_reader_that_leaves_is_no_error(house: House) -> None:
    """`mrfp ctl conference list | head -0`, with a pipe that nobody reads any more."""
    await run(house, "conference", "create", "room")
    reading, writing = os.pipe()
    os.close(reading)
    command = [sys.executable, "-m", "control", "ctl", "--socket", str(house.path), "events", "--count", "9"]
    watching = await asyncio.create_subprocess_exec(
        *command, stdout=writing, stderr=subprocess.PIPE, cwd=Path(__file__).parents[2]
    )
    os.close(writing)
    await until(lambda: bool(house.mixer.subscribers))
    house.mixer.emit(talking())
    _, errors = await asyncio.wait_for(watching.communicate(), 30)
    assert (watching.returncode, errors) == (0, b"")
