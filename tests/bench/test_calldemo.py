"""The call demo: played once for real, and what it says when telephones are missing."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from bench import calldemo
from bench.house import House
from bench.phones.wav import read_wav
from bench.processes import BenchError


async def test_who_has_no_telephones_is_told_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(shutil, "which", lambda program: None if program == "linphonec" else program)
    with pytest.raises(BenchError, match=r"apt-get install linphone-cli$"):
        await calldemo.demo(tmp_path)


@pytest.mark.needs("baresip", "linphonec")
async def test_a_telephone_that_fails_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    async def fail(running: House, phones: object) -> None:
        raise AssertionError("no CALL_ESTABLISHED of anna in 10 s")

    @asynccontextmanager
    async def nothing(tables: str, *, legs: int) -> AsyncIterator[None]:
        yield

    monkeypatch.setattr(calldemo, "house", nothing)
    monkeypatch.setattr(calldemo, "converse", fail)
    with pytest.raises(BenchError, match="no CALL_ESTABLISHED of anna"):
        await calldemo.demo(Path("unused"))


@pytest.mark.slow
@pytest.mark.needs("baresip", "linphonec")
async def test_three_telephones_hear_each_other(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert await calldemo.demo(tmp_path) == []
    assert all(len(read_wav(tmp_path / f"{name}.wav")[0]) for name in calldemo.TONES)
    assert capsys.readouterr().out.count("self -") == 3
