"""The file of passwords."""

from __future__ import annotations

from pathlib import Path

import pytest

from control.focus import users
from control.tomlfile import SettingsError


def written(path: Path, text: str, mode: int = 0o600) -> Path:
    path.write_text(text, encoding="utf-8")
    path.chmod(mode)
    return path


def test_names_and_passwords(tmp_path: Path) -> None:
    loaded = users.load(written(tmp_path / "users", "# ours\n\nalice open sesame\nbob  s3cret \n"))
    assert {name: secret.reveal() for name, secret in loaded.items()} == {"alice": b"open sesame", "bob": b"s3cret"}


@pytest.mark.parametrize("text", ["alice\n", "alice one\nalice two\n"])
def test_a_line_that_cannot_be_used_is_named_and_not_shown(tmp_path: Path, text: str) -> None:
    with pytest.raises(SettingsError, match="line") as error:
        users.load(written(tmp_path / "users", text))
    assert "two" not in str(error.value)


def test_a_file_that_others_may_read_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="0600"):
        users.load(written(tmp_path / "users", "alice sesame\n", 0o640))


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="cannot read"):
        users.load(tmp_path / "users")
