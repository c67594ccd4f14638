"""The highest epochs outlive the process, and whatever ends it."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from control.kms.floors import FileFloors, MemoryFloors
from control.kms.lines import LineFileError, make_directory


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "epochs.log"


def test_they_outlive_the_process(path: Path) -> None:
    floors = FileFloors(path)
    assert floors.highest("room", 0) == 0
    floors.raise_to("room", 0, 7)
    floors.raise_to("room", 1, 3)
    floors.close()
    again = FileFloors(path)
    assert (again.highest("room", 0), again.highest("room", 1), again.highest("room", 2)) == (7, 3, 0)
    again.close()


@settings(deadline=None, max_examples=50)
@given(
    raised=st.lists(st.tuples(st.sampled_from(["a", "b", 'q"\\']), st.integers(0, 2)), max_size=30),
    slack=st.integers(1, 5),
    cut=st.integers(0, 12),
)
def test_any_history_with_a_torn_end(
    raised: list[tuple[str, int]], slack: int, cut: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("floors") / "epochs.log"
    floors, expected = FileFloors(path, slack=slack), MemoryFloors()
    for epoch, (conference, cohort) in enumerate(raised, start=1):
        floors.raise_to(conference, cohort, epoch)
        expected.raise_to(conference, cohort, epoch)
    assert path.read_bytes().count(b"\n") <= 9 + slack, "superseded lines do not pile up"
    floors.close()
    with path.open("ab") as file:
        file.write(b'["a",0,99999]'[:cut])
    again = FileFloors(path)
    again.close()
    assert sorted(again.lines()) == sorted(expected.lines())


def test_the_oldest_name_is_forgotten_beyond_the_limit(path: Path) -> None:
    floors = FileFloors(path, remembered=2)
    for name, epoch in (("a", 5), ("b", 1), ("a", 6), ("c", 1)):
        floors.raise_to(name, 0, epoch)
    assert (floors.highest("a", 0), floors.highest("b", 0)) == (6, 0)
    floors.close()


def test_two_processes_cannot_share_them(path: Path) -> None:
    floors = FileFloors(path)
    with pytest.raises(LineFileError, match="another process uses"):
        FileFloors(path)
    floors.close()


def test_damage_is_named_and_nothing_is_lost(path: Path) -> None:
    path.touch(0o600)
    path.write_bytes(b'["room",0,7]\n["room",0,"x"]\n')
    with pytest.raises(LineFileError, match="line 2, is damaged"):
        FileFloors(path)
    assert path.read_bytes() == b'["room",0,7]\n["room",0,"x"]\n'


def test_a_directory_open_to_others_is_refused(tmp_path: Path) -> None:
    make_directory(tmp_path / "a" / "b")
    (tmp_path / "a" / "b").chmod(0o777)
    with pytest.raises(LineFileError, match="writable"):
        make_directory(tmp_path / "a" / "b")
    (tmp_path / "plain").touch()
    with pytest.raises(LineFileError, match="cannot make"):
        make_directory(tmp_path / "plain" / "b")
