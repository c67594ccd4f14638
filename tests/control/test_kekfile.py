"""The file of key-encryption keys: made private, read only if private, and never repeated."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from control import kekfile
from control.__main__ import main
from control.keyfiles import KeyFileError
from control.keywrap import context
from mixer.secret import Secret

LONG = Secret(bytes(range(1, 33))).to_base64()
SHORT = Secret(bytes(range(1, 17))).to_base64()
PLACE = context(conference="c", recipient=0, direction="tx", epoch=1, mki="", suite="AES_CM_128_HMAC_SHA1_80", boot="b")


def written(path: Path, text: str, mode: int = 0o600) -> Path:
    path.write_text(text)
    path.chmod(mode)
    return path


def test_made_by_the_command_and_read_back(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "keks"
    before = os.umask(0)
    try:
        assert main(["kek", str(path), "focus-2026"]) == 0
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert main(["kek", str(path), "focus-2027"]) == 0
    assert list(kekfile.read(path)) == ["focus-2026", "focus-2027"]
    first, second = (line.split() for line in path.read_text().splitlines())
    assert len(Secret.from_base64(first[1])) == 32
    assert first[1] != second[1]
    shown = capsys.readouterr()
    assert "added focus-2027" in shown.out
    assert first[1] not in shown.out + shown.err


def test_the_command_takes_no_name_twice_and_no_other(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = written(tmp_path / "keks", f"# comment only\nold {LONG}")
    assert main(["kek", str(path), "old"]) == 1
    assert "of that name already" in capsys.readouterr().err
    assert main(["kek", str(path), "a b"]) == 1
    assert "1 to 32 letters" in capsys.readouterr().err
    assert main(["kek", str(tmp_path / "none" / "keks"), "a"]) == 1
    assert "cannot write" in capsys.readouterr().err
    assert main(["kek", str(path), "new"]) == 0
    assert list(kekfile.read(path)) == ["old", "new"], "a last line without its end stays a line"


def test_the_command_adds_to_no_file_that_others_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = written(tmp_path / "keks", "", 0o644)
    assert main(["kek", str(path), "a"]) == 1
    assert "chmod 600" in capsys.readouterr().err
    assert path.read_text() == ""


def test_comments_and_both_lengths(tmp_path: Path) -> None:
    text = f"# ours\n\n a  {LONG}  # of the focus\nb\t{SHORT}\n"
    read = kekfile.read(written(tmp_path / "keks", text))
    assert {name: wrapper.name for name, wrapper in read.items()} == {"a": "a", "b": "b"}
    secret = Secret(bytes(range(30)))
    wrapped = [read[name].wrap(secret, "AES_CM_128_HMAC_SHA1_80", PLACE) for name in "ab"]
    assert wrapped[0] != wrapped[1]


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o602, 0o644, 0o601, 0o610])
def test_others_may_not_even_knock(tmp_path: Path, mode: int) -> None:
    path = written(tmp_path / "keks", f"a {LONG}\n", mode)
    with pytest.raises(KeyFileError, match=f"others may read or write .*: chmod 600 {path}"):
        kekfile.read(path)


def test_the_owner_need_not_be_able_to_write(tmp_path: Path) -> None:
    assert list(kekfile.read(written(tmp_path / "keks", f"a {LONG}\n", 0o400))) == ["a"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "holds no key; make one with: mrfp kek"),
        ("# nothing\n", "holds no key"),
        (f"\n{LONG}\n", "line 2: write a name"),
        (f"a {LONG} {LONG}", "line 1: write a name"),
        (f"{LONG} a", "line 1: write a name"),
        (f"{'a' * 33} {LONG}", "line 1: write a name"),
        (f"a {LONG}\na {SHORT}", "line 2: this name stands in a line above"),
        (f"a {LONG[:-4]}", "line 1: a key is base64url of 16 or 32 octets"),
        (f"a {LONG}!", "line 1: a key is base64url of 16 or 32 octets"),
        (f"a {Secret(bytes(32)).to_base64()}", "line 1: this key is the same octet all over"),
        (f"a {LONG}\u00e9", "is not a file of keys"),
        ("#" * 65_537, "is not a file of keys"),
    ],
)
def test_what_is_wrong_is_told_and_not_repeated(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(KeyFileError, match=message) as refused:
        kekfile.read(written(tmp_path / "keks", text))
    assert refused.value.__cause__ is None
    assert not any(word in str(refused.value) for word in (LONG[:12], SHORT[:12], "aaaa"))


def test_no_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(KeyFileError, match=r"cannot read .*No such file"):
        kekfile.read(tmp_path / "none")
    with pytest.raises(KeyFileError, match="Is a directory"):
        kekfile.read(tmp_path)
    os.mkfifo(tmp_path / "fifo", 0o600)
    with pytest.raises(KeyFileError, match="is not a file"):
        kekfile.read(tmp_path / "fifo")


def test_one_of_them_is_chosen(tmp_path: Path) -> None:
    one = written(tmp_path / "one", f"a {LONG}")
    two = written(tmp_path / "two", f"a {LONG}\nb {SHORT}")
    assert kekfile.choose(one, None).name == "a"
    assert kekfile.choose(two, "b").name == "b"
    with pytest.raises(KeyFileError, match="choose one with --kek: a, b"):
        kekfile.choose(two, None)
    with pytest.raises(KeyFileError, match="no key of that name; it has a"):
        kekfile.choose(one, "b")
