"""The chain shows what was done to it, and the file survives what happens to files."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from control.__main__ import main
from control.kms.audit import ZEROS, Audit, AuditError, verify
from control.kms.lines import LineFileError


def op(n: int = 1) -> dict[str, Any]:
    return {"op": "epoch.create", "outcome": "ok", "conference": "room", "epoch": n}


def chain(path: Path, lines: int = 6) -> list[bytes]:
    audit = Audit("b00t", path)
    for number in range(lines):
        audit.add(1e9 + number, "focus", op(number + 1))
    audit.close()
    return path.read_bytes().splitlines()


def test_each_line_names_the_one_before(tmp_path: Path) -> None:
    lines = chain(tmp_path / "audit.log")
    count, head = verify(lines)
    assert count == 6
    records = [msgspec.json.decode(line) for line in lines]
    assert records[0]["prev"] == ZEROS
    assert records[0]["time"] == "2001-09-09T01:46:40.000+00:00"
    assert [record["n"] for record in records] == [1, 2, 3, 4, 5, 6]
    audit = Audit("next", tmp_path / "audit.log")
    assert (audit.lines, audit.head) == (6, head)
    audit.add(1e9, "focus", op(), op())
    audit.close()
    assert verify((tmp_path / "audit.log").read_bytes().splitlines()) == (8, audit.head)


LINES = tuple(range(6))


@settings(deadline=None, max_examples=150)
@given(data=st.data(), how=st.sampled_from(["change", "remove", "swap", "repeat", "insert"]))
def test_tampering_shows(data: st.DataObject, how: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    lines = chain(tmp_path_factory.mktemp("audit") / "audit.log")
    head = verify(lines)[1]
    at = data.draw(st.sampled_from(LINES))
    match how:
        case "change":
            place = data.draw(st.integers(0, len(lines[at]) - 1))
            octet = data.draw(st.integers(32, 126).filter(lambda octet: octet != lines[at][place]))
            lines[at] = lines[at][:place] + bytes((octet,)) + lines[at][place + 1 :]
        case "remove":
            del lines[at]
        case "swap":
            other = data.draw(st.sampled_from(LINES).filter(lambda other: other != at))
            lines[at], lines[other] = lines[other], lines[at]
        case "repeat":
            lines.insert(at, lines[at])
        case "insert":
            lines.insert(at, lines[at].replace(b'"room"', b'"attic"'))
    try:
        found = verify(lines)
    except AuditError:
        return
    # What is done to the very end shows to those who kept the hash.
    assert found[1] != head
    assert at == LINES[-1]


def test_a_later_line_cannot_be_had_by_leaving_out_the_rest(tmp_path: Path) -> None:
    with pytest.raises(AuditError, match="line 1 does not follow"):
        verify(chain(tmp_path / "audit.log")[1:])


def test_the_file_is_ours_alone(tmp_path: Path) -> None:
    path = tmp_path / "audit.log"
    audit = Audit("b00t", path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    with pytest.raises(LineFileError, match="another process uses"):
        Audit("b00t", path)
    audit.close()
    path.chmod(0o640)
    with pytest.raises(LineFileError, match="mode 0600"):
        Audit("b00t", path)
    (tmp_path / "link").symlink_to(path)
    with pytest.raises(LineFileError, match="cannot use"):
        Audit("b00t", tmp_path / "link")
    with pytest.raises(LineFileError, match="cannot use"):
        Audit("b00t", tmp_path / "none" / "audit.log")


def test_half_a_line_is_cut_off(tmp_path: Path) -> None:
    path = tmp_path / "audit.log"
    lines = chain(path)
    with path.open("ab") as file:
        file.write(lines[-1][:40])
    audit = Audit("b00t", path)
    assert audit.cut == 40
    audit.add(1e9, "focus", op())
    audit.close()
    assert verify(path.read_bytes().splitlines())[0] == 7


@pytest.mark.parametrize("octets", [b"nonsense\n", b"x" * 70_000, b"{}\n"])
def test_a_file_that_is_no_audit_is_left_alone(tmp_path: Path, octets: bytes) -> None:
    path = tmp_path / "audit.log"
    path.touch(0o600)
    path.write_bytes(octets)
    for _ in range(2):
        with pytest.raises(LineFileError, match=r"damaged|does not hold lines"):
            Audit("b00t", path)
    assert path.read_bytes() == octets


def test_a_line_that_cannot_be_written_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "audit.log"
    audit = Audit("b00t", path)
    audit.add(1e9, "focus", op())
    before, head = path.read_bytes(), audit.head
    write = os.write
    with monkeypatch.context() as full:
        full.setattr("os.write", lambda descriptor, octets: write(descriptor, octets[:20]))
        with pytest.raises(OSError, match="disk full"):
            audit.add(1e9, "focus", op())
    assert path.read_bytes() == before
    assert audit.head == head
    audit.add(1e9, "focus", op())
    audit.close()
    assert verify(path.read_bytes().splitlines()) == (2, audit.head)


def test_the_newest_are_in_memory() -> None:
    audit = Audit("b00t", in_memory=5)
    audit.add(0.0, "focus", *(op(number) for number in range(1, 9)))
    assert audit.cut == 0
    assert [record.n for record in audit.tail(0, 3)] == [6, 7, 8]
    assert [record.n for record in audit.tail(5, 2)] == [5, 6]
    assert [record.n for record in audit.tail(1, 100)] == [4, 5, 6, 7, 8]
    assert audit.tail(9, 1) == []


def test_people_can_check_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "audit.log"
    lines = chain(path)
    assert main(["kms", "--verify", str(path)]) == 0
    assert capsys.readouterr().out.startswith("6 lines, each following on the one before")
    path.write_bytes(b"\n".join([lines[0], *lines[2:]]) + b"\n")
    assert main(["kms", "--verify", str(path)]) == 1
    assert "line 2 does not follow" in capsys.readouterr().err
