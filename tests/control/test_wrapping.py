"""Wrapped keys from a client, `mrfp ctl` or the daemon's file to the mixer, which sees them clear."""

from __future__ import annotations

import asyncio
from enum import StrEnum
from pathlib import Path
from typing import Final

import pytest

from control import daemon, envelope, kekfile
from control.__main__ import main
from control.client import MixerClient
from control.errors import INVALID_PARAMS, ControlError
from control.keyfiles import KeyFileError
from control.keywrap import Wrapper
from control.settings import ControlSettings, Settings
from mixer import port
from mixer.port import Refusal
from mixer.secret import Secret
from tests.control.conftest import House, MakeHouse, request
from tests.control.fakes import FakeMixer, fresh_key
from tests.control.test_daemon import FakeService

K1: Final = Wrapper("k1", Secret(bytes(range(32))))
K2: Final = Wrapper("k2", Secret(bytes(range(50, 82))))


async def refusal(mixer: MixerClient, command: port.ConferenceCreate | port.LegAdd) -> tuple[StrEnum | None, str]:
    with pytest.raises(ControlError) as refused:
        await mixer.call(command)
    return refused.value.refusal, str(refused.value)


async def test_every_key_arrives_clear(make_house: MakeHouse) -> None:
    house = await make_house(keks={"k1": K1}, require_wrapped=True)
    mixer = await house.client(kek=K1)
    commands: list[port.Command] = [
        port.ConferenceCreate(conference="room", keying="group", key=fresh_key(mki="01"), uplink_key=fresh_key()),
        port.LegAdd(conference="room", leg="alice", rx=fresh_key(), tx=fresh_key("AEAD_AES_256_GCM")),
        port.LegAdd(conference="room", leg="bob", clear=True),
        port.KeyPrepare(conference="room", key=fresh_key(epoch=2)),
        port.KeyActivate(conference="room", epoch=2),
    ]
    for command in commands:
        await mixer.call(command)
    assert house.mixer.commands == commands


async def test_a_clear_key_passes_unless_the_mixer_says_otherwise(make_house: MakeHouse) -> None:
    command = port.ConferenceCreate(conference="room", key=fresh_key())
    lenient = await make_house(keks={"k1": K1})
    await (await lenient.client()).call(command)
    assert lenient.mixer.commands == [command]
    strict = await make_house(keks={"k1": K1}, require_wrapped=True)
    told = await refusal(await strict.client(), command)
    assert told == (Refusal.BAD_KEY, told[1])
    assert told[1].startswith("key: this mixer takes wrapped keys only")
    assert strict.mixer.commands == []


async def test_other_keks_are_refused(make_house: MakeHouse) -> None:
    house = await make_house(keks={"k1": K1})
    command = port.LegAdd(conference="room", leg="alice", rx=fresh_key())
    word, text = await refusal(await house.client(kek=K2), command)
    assert word is Refusal.BAD_KEY
    assert text == "rx: this mixer has no key-encryption key of that name; it has k1"
    word, text = await refusal(await house.client(kek=Wrapper("k1", Secret(bytes(range(50, 82))))), command)
    assert word is Refusal.BAD_KEY
    assert text.startswith("rx: it does not unwrap")
    plain = await make_house()
    word, text = await refusal(await plain.client(kek=K1), command)
    assert word is Refusal.BAD_KEY
    assert "[control] kek_file" in text
    assert house.mixer.commands == plain.mixer.commands == []


async def test_a_key_wrapped_elsewhere_passes_through_the_client(make_house: MakeHouse) -> None:
    """A KMS may have wrapped it; the controller need not be able to."""
    house = await make_house(keks={"k1": K1})
    command = port.ConferenceCreate(conference="room", key=fresh_key())
    sealed = envelope.seal(command, K1, "b00t")
    for client in (await house.client(), await house.client(kek=K2)):
        await client.call(sealed)
        await client.call(port.ConferenceDestroy(conference="room"))
    assert house.mixer.commands[::2] == [command, command]


async def test_wrapped_for_an_earlier_life(make_house: MakeHouse) -> None:
    """The mixer was restarted: what was wrapped before is void, and a new connection wraps for the new life."""
    house = await make_house(keks={"k1": K1})
    mixer = await house.client(kek=K1)
    command = port.ConferenceCreate(conference="room", key=fresh_key())
    house.mixer.extra["boot_id"] = "an0ther"
    word, text = await refusal(mixer, command)
    assert word is Refusal.BAD_KEY
    assert "boot_id that node.info shows now" in text
    await mixer.close()
    await mixer.connect()
    await mixer.call(command)
    assert house.mixer.commands == [command]


async def test_the_same_request_again_is_the_same(make_house: MakeHouse) -> None:
    """Wrapping draws no lots: idempotence by id holds for wrapped keys too."""
    command = port.ConferenceCreate(conference="room", key=fresh_key())
    assert envelope.seal(command, K1, "b00t") == envelope.seal(command, K1, "b00t")


async def test_a_short_kek_sends_no_long_key(make_house: MakeHouse) -> None:
    house = await make_house(keks={"k1": K1})
    mixer = await house.client(kek=Wrapper("k1", Secret(bytes(range(16)))))
    with pytest.raises(ControlError, match=r"^key: AEAD_AES_256_GCM needs a key-encryption key of 32") as refused:
        await mixer.call(port.ConferenceCreate(conference="room", key=fresh_key("AEAD_AES_256_GCM")))
    assert refused.value.code == INVALID_PARAMS
    assert house.mixer.commands == []


async def test_a_name_that_is_none_is_refused(house: House) -> None:
    raw = await house.raw()
    for name in ("a" * 33, "with space", "a\n", "\u00e9"):
        key = {"secret": fresh_key().secret.to_base64(), "kek": name}
        reply = await raw.ask(request("conference.create", name, conference="room", key=key))
        assert reply["error"]["code"] == INVALID_PARAMS
        assert "`$.key.kek`" in reply["error"]["message"]
        assert name not in reply["error"]["message"]


async def test_a_client_that_is_turned_away_leaves_nothing_behind(make_house: MakeHouse) -> None:
    house = await make_house(allowed_uids=[4_000_000])
    mixer = MixerClient(f"unix:{house.path}", kek=K1)
    with pytest.raises(ControlError, match="may not control this mixer"):
        await mixer.connect()
    with pytest.raises(ControlError, match="may not control this mixer"):
        await mixer.node_info()
    assert house.server.clients == 0


async def run(house: House, *words: str) -> int:
    return await asyncio.to_thread(main, ["ctl", "--socket", str(house.path), *words])


async def test_by_hand(make_house: MakeHouse, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "keks"
    kekfile.add(file, "focus")
    house = await make_house(keks=kekfile.read(file), require_wrapped=True)
    create = ["conference", "create", "room", "--generate", "--save-keys", str(tmp_path / "keys")]
    assert await run(house, *create) == 1
    assert "takes wrapped keys only" in capsys.readouterr().err
    assert await run(house, *create, "--kek-file", str(file)) == 0
    made = house.mixer.conferences["room"].key
    assert made is not None
    assert Secret.from_base64((tmp_path / "keys" / "room-key.key").read_text().strip()) == made.secret
    kekfile.add(file, "other")
    prepare = ["key", "prepare", "room", "--epoch", "2", "--generate", "--save-keys", str(tmp_path / "keys")]
    assert await run(house, *prepare, "--kek-file", str(file)) == 2
    assert "choose one with --kek: focus, other" in capsys.readouterr().err
    assert await run(house, *prepare, "--kek", "focus") == 2
    assert "--kek-file" in capsys.readouterr().err
    assert await run(house, *prepare, "--kek-file", str(file), "--kek", "other") == 1
    assert await run(house, *prepare, "--kek-file", str(file), "--kek", "focus") == 0
    file.chmod(0o644)
    assert await run(house, "--kek-file", str(file), "node", "info") == 2
    assert f"chmod 600 {file}" in capsys.readouterr().err


async def test_the_daemon_reads_the_file(tmp_path: Path) -> None:
    file = tmp_path / "keks"
    kekfile.add(file, "focus")
    made: list[FakeMixer] = []

    def make(config: object) -> FakeService:
        made.append(FakeService(config))  # type: ignore[arg-type]
        return made[0]  # type: ignore[return-value]

    path = tmp_path / "run" / "control.sock"
    control = ControlSettings(socket=str(path), kek_file=str(file), require_wrapped=True)
    command = port.ConferenceCreate(conference="room", key=fresh_key())
    async with daemon.opened(Settings(control=control), make):
        async with MixerClient(f"unix:{path}") as clear:
            assert (await refusal(clear, command))[0] is Refusal.BAD_KEY
        async with MixerClient(f"unix:{path}", kek=kekfile.choose(file, None)) as mixer:
            await mixer.call(command)
    assert made[0].commands == [command]


async def test_the_daemon_does_not_start_on_a_bad_file(tmp_path: Path) -> None:
    file = tmp_path / "keks"
    kekfile.add(file, "focus")
    file.chmod(0o640)
    control = ControlSettings(socket=str(tmp_path / "control.sock"), kek_file=str(file))
    started: list[object] = []
    with pytest.raises(KeyFileError, match="chmod 600"):
        async with daemon.opened(Settings(control=control), started.append):  # type: ignore[arg-type]
            raise AssertionError("it must not open")
    assert started == []
