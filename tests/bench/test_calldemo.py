"""The call demo: played once for real, and what it says when telephones are missing."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from bench import calldemo
from bench.processes import BenchError


async def test_who_has_no_telephones_is_told_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(shutil, "which", lambda program: None if program == "linphonec" else program)
    with pytest.raises(BenchError, match="apt-get install linphone-cli$"):
        await calldemo.demo(tmp_path)


@pytest.mark.slow
@pytest.mark.needs("baresip", "linphonec")
async def test_three_telephones_hear_each_other(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert await calldemo.demo(tmp_path) == []
    assert {path.name for path in tmp_path.iterdir()} == {"anna.wav", "boris.wav", "clara.wav"}
    assert capsys.readouterr().out.count("self -") == 3
