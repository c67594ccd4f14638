"""focus.toml: what is wrong is named, and so is what to do."""

from __future__ import annotations

from pathlib import Path

import pytest

from control.focus import settings
from control.focus.settings import SettingsError


def test_nothing_need_be_said() -> None:
    assert settings.parse("") == settings.load(None)


def test_all_is_read() -> None:
    told = settings.parse(
        """
        [keys]
        kms = "unix:/run/kms.sock"
        laggards = "recall"
        [room.board]
        pin = "4711"
        keying = "group"
        [room.board.rekey]
        ack_timeout = 0.5
        """
    )
    board = told.room["board"]
    assert (board.pin, board.keying, told.keys.laggards) == ("4711", "group", "recall")
    assert board.policy(kms=True).mode == "group"
    assert board.policy(kms=True).ack_timeout == 0.5
    assert board.policy(kms=False).mode == "unique"
    assert told.default_room.policy(kms=True).mode == "auto"


WRONG = {
    "[limits]\ncals = 3": ("cals",),
    "[limit]\ncalls = 3": ("limit",),
    "[limits]\ncalls = 0": ("calls", "1"),
    "[limits]\ncalls = 'many'": ("calls",),
    "[limits]\nsession_s = 30": ("session_s", "90"),
    "[room.'a b']\n": ("[room.NAME] NAME", "without spaces"),
    "[room.board]\nstyle = 'fast'": ("style", "fast"),
    "[room.board]\nkeying = 'mine'": ("room.board", "keying", "mine", "auto, group, unique"),
    "[room.board]\ncallers = 3": ("room.board", "callers", "none, digest, certificate"),
    "[media]\ncodecs = ['G729']": ("G729",),
    "[media]\nsuites = ['ROT13']": ("ROT13",),
    "[trust]\ncallers = 'face'": ("face",),
    "[trust]\ncallers = 'digest'": ("users_file",),
    "[room.board]\ncallers = 'digest'": ("users_file",),
    "[room.board]\nallowed = ['sip:ann@a']": ("room.board", "allowed", "callers"),
    "[default_room]\nkeying = 'group'": ("default_room", "KMS", "[keys] kms"),
    "[room.board]\nkeying = 'group'": ("room.board", "KMS"),
    "[keys]\nkms = '/run/kms.sock'": ("[keys] kms", "unix:/path", "tls://host:port"),
    "[mixer]\naddress = 'tls://mixer'": ("[mixer] address", "unix:/path", "tls://host:port"),
    "calls = ": ("focus.toml", "TOML"),
}


@pytest.mark.parametrize(("text", "words"), WRONG.items())
def test_what_is_wrong_is_named(text: str, words: tuple[str, ...]) -> None:
    with pytest.raises(SettingsError) as error:
        settings.parse(text)
    for word in words:
        assert word in str(error.value)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="nothing\\.toml"):
        settings.load(tmp_path / "nothing.toml")


def test_a_file_may_need_what_the_command_line_says(tmp_path: Path) -> None:
    """As in README: `mrfp focus --kms unix:/run/mrfp/kms.sock --config group.toml`."""
    path = tmp_path / "group.toml"
    path.write_text('[default_room]\nkeying = "group"\n')
    told = settings.load(path, keys={"kms": "unix:/run/mrfp/kms.sock"}, sip={"host": None})
    assert (told.default_room.keying, told.keys.kms) == ("group", "unix:/run/mrfp/kms.sock")
    with pytest.raises(SettingsError, match=r"group\.toml: \[default_room\].*needs a KMS"):
        settings.load(path, keys={"kms": None})
    with pytest.raises(SettingsError, match=r"group\.toml with the command line: \[keys\] kms is not an address"):
        settings.load(path, keys={"kms": "/run/mrfp/kms.sock"})
    with pytest.raises(SettingsError, match=r"^command line: \[keys\] kms is not an address"):
        settings.load(None, keys={"kms": "/run/mrfp/kms.sock"})


@pytest.mark.parametrize(
    ("text", "domain"),
    [
        ("", "127.0.0.1"),
        ('[sip]\nadvertise = "focus.example"', "focus.example"),
        ('[sip]\nadvertise = "focus.example"\ndomains = ["example.net", "b"]', "example.net"),
    ],
)
def test_the_domain(text: str, domain: str) -> None:
    assert settings.parse(text).domain == domain


def test_a_key_by_sip_is_dearer_to_deliver() -> None:
    plain = settings.parse("").default_room.policy(kms=True)
    named = settings.parse('[default_room]\nstyle = "mki"').default_room.policy(kms=True)
    chosen = settings.parse("[default_room.rekey]\ndelivery_s = 0.5").default_room.policy(kms=False)
    assert (plain.delivery_s, named.delivery_s, chosen.delivery_s) == (600e-6, 300e-6, 0.5)
    assert (plain.mode, chosen.mode) == ("auto", "unique")
