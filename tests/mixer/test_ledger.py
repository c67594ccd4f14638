"""The ledger: no key is sent under twice, in this life or the next."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from mixer.ledger import FINGERPRINT, KeyLedger, LedgerError
from mixer.ledgerfile import default_path, open_ledger
from mixer.port import ConferenceCreate, PortError, Refusal
from mixer.secret import Secret
from tests.mixer.room import Room


def secret(first: int = 0) -> Secret:
    return Secret(bytes(range(first, first + 30)))


def refused(ledger: KeyLedger, what: Secret) -> bool:
    try:
        ledger.check(what)
    except PortError as error:
        return error.refusal == Refusal.KEY_REUSED
    return False


def test_refuses_what_was_sent_under() -> None:
    ledger = KeyLedger()
    assert not refused(ledger, secret())
    assert not refused(ledger, secret()), "looking is not using"
    ledger.record(secret())
    assert refused(ledger, secret())
    assert not refused(ledger, secret(1))
    assert not any(octets in repr(vars(ledger)) for octets in (repr(bytes(range(30))), bytes(range(30)).hex()))


def test_the_next_life_remembers(tmp_path: Path) -> None:
    """I1 and I14: nothing is closed or flushed in between, as after kill -9."""
    path = tmp_path / "state" / "keys.ledger"
    first = open_ledger(path)
    first.record(secret(0))
    second = open_ledger(path)
    assert refused(second, secret(0))
    assert not refused(second, secret(1))
    second.record(secret(1))
    third = open_ledger(path)
    assert refused(third, secret(0))
    assert refused(third, secret(1))
    assert len(third) == 2


def test_no_key_is_on_the_disk(tmp_path: Path) -> None:
    path = tmp_path / "keys.ledger"
    open_ledger(path).record(secret())
    octets = path.read_bytes()
    assert not any(bytes(range(at, at + 8)) in octets for at in range(22))
    assert path.stat().st_mode & 0o777 == 0o600


def test_two_mixers_name_the_same_key_differently(tmp_path: Path) -> None:
    """A stolen ledger tells nobody which keys another has."""
    for name in "ab":
        open_ledger(tmp_path / name).record(secret())
    assert (tmp_path / "a").read_bytes()[-FINGERPRINT:] != (tmp_path / "b").read_bytes()[-FINGERPRINT:]


@pytest.mark.parametrize("torn", range(1, FINGERPRINT))
def test_a_torn_end_is_cut_off(tmp_path: Path, torn: int) -> None:
    path = tmp_path / "keys.ledger"
    open_ledger(path).record(secret())
    with path.open("ab") as file:
        file.write(b"x" * torn)
    again = open_ledger(path)
    assert refused(again, secret())
    again.record(secret(1))
    assert refused(open_ledger(path), secret(1))


@pytest.mark.parametrize(
    "content", [b"something else\n", b"mrfp key ledger 1\nshort", b"mrfp key ledger 2\n" + bytes(64)]
)
def test_something_else_is_no_ledger(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "keys.ledger"
    path.write_bytes(content)
    with pytest.raises(LedgerError, match="not a key ledger"):
        open_ledger(path)
    assert path.read_bytes() == content


def test_a_directory_is_no_ledger(tmp_path: Path) -> None:
    with pytest.raises(LedgerError, match="cannot use the key ledger"):
        open_ledger(tmp_path)


def test_what_cannot_be_kept_is_not_taken() -> None:
    def full(fingerprint: bytes) -> None:
        raise LedgerError("the disk is full")

    ledger = KeyLedger(keep=full)
    with pytest.raises(PortError, match="no key can be taken: the disk is full") as caught:
        ledger.record(secret())
    assert caught.value.refusal == Refusal.LIMIT
    assert not refused(ledger, secret()), "it was never used"


def test_where_it_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("STATE_DIRECTORY", f"{tmp_path}:/elsewhere")
    assert default_path() == tmp_path / "keys.ledger"
    monkeypatch.delenv("STATE_DIRECTORY")
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert default_path() == Path("/var/lib/mrfp/keys.ledger")
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setenv("XDG_STATE_HOME", "/home/someone/state")
    assert default_path() == Path("/home/someone/state/mrfp/keys.ledger")


def test_a_conference_that_could_not_be_made_has_used_no_key() -> None:
    """The same command is taken as soon as there is room on the disk again."""
    full = True

    def keep(fingerprint: bytes) -> None:
        if full:
            raise LedgerError("the disk is full")

    room = Room(ledger=KeyLedger(keep=keep))
    create = ConferenceCreate(conference="c", keying="group", key=room.key("c/1"), uplink_key=room.key("c/uplink"))
    with pytest.raises(PortError, match="the disk is full"):
        room.apply(create)
    full = False
    room.apply(create)
