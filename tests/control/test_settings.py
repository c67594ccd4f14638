"""`mrfp.toml`: defaults that work, and errors that name what is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from control import listen, settings
from control.settings import Settings, SettingsError


def test_nothing_is_needed() -> None:
    assert settings.parse("") == Settings() == settings.load(None)


def test_everything_can_be_said(tmp_path: Path) -> None:
    path = tmp_path / "mrfp.toml"
    path.write_text(
        """
        [mixer]
        port = 5004
        tick_ms = 10
        [control]
        socket = "/run/x.sock"
        allowed_uids = [0, 1000]
        tls_port = 7443
        certificate = "a.pem"
        key = "b.pem"
        authority = "c.pem"
        allowed_names = ["focus"]
        kek_file = "keks"
        require_wrapped = true
        [http]
        port = 9100
        [log]
        level = "debug"
        format = "console"
        """
    )
    read = settings.load(path)
    assert (read.mixer.port, read.mixer.tick_ms) == (5004, 10)
    assert read.control.allowed_uids == (0, 1000)
    assert (read.control.kek_file, read.control.require_wrapped) == ("keks", True)
    assert read.control.identity().authority == Path("c.pem")
    assert (read.http.port, read.log.level) == (9100, "debug")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[mixer]\nprot = 1", r"x.toml: \[mixer\] has no option `prot`: did you mean `port`\?"),
        ("[mixre]\nport = 1", r"the section \[mixre\] is unknown: did you mean `mixer`\?"),
        ("port = 1", "the option `port` is unknown"),
        ("mixer = 1", r"write \[mixer\]"),
        ("[mixer]\nport = 'a'", r"\[mixer\] port: Expected `int`, got `str`"),
        ("[mixer]\nport = 70000", r"\[mixer\] port: Expected `int` <= 65534"),
        ("[log]\nlevel = 'loud'", r"\[log\] level: 'loud' is none of debug, info, warning, error"),
        ("[control]\nallowed_uids = ['me']", r"\[control\] allowed_uids"),
        ("[control]\ntls_port = 7443", r"\[control\] tls_port needs `certificate`"),
        (
            "[control]\nrequire_wrapped = true",
            r"\[control\] require_wrapped needs `kek_file`; make one with `mrfp kek`",
        ),
        ("[control", "x.toml is not TOML"),
    ],
)
def test_mistakes_are_named(text: str, message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        settings.parse(text, "x.toml")


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="cannot read"):
        settings.load(tmp_path / "none.toml")
    (tmp_path / "latin.toml").write_bytes(b"# \xe9")
    with pytest.raises(SettingsError, match="not UTF-8"):
        settings.load(tmp_path / "latin.toml")


def test_the_command_line_wins() -> None:
    changed = settings.change(settings.parse("[mixer]\nport = 2"), mixer={"port": 6000, "host": None})
    assert (changed.mixer.port, changed.mixer.host) == (6000, "0.0.0.0")
    with pytest.raises(SettingsError, match=r"command line: \[control\] require_wrapped needs"):
        settings.change(Settings(), control={"require_wrapped": True})
    with pytest.raises(SettingsError, match=r"command line: \[mixer\] port"):
        settings.change(Settings(), mixer={"port": -1})


def test_the_default_socket(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MRFP_SOCKET", raising=False)
    monkeypatch.setenv("XDG_RUNTIME_DIR", "/run/user/7")
    monkeypatch.setattr("os.geteuid", lambda: 7)
    assert listen.default_socket() == Path("/run/user/7/mrfp/control.sock")
    monkeypatch.delenv("XDG_RUNTIME_DIR")
    assert listen.default_socket().parent.name == "mrfp-7"
    monkeypatch.setattr("os.geteuid", lambda: 0)
    assert listen.default_socket() == Path("/run/mrfp/control.sock")
    monkeypatch.setenv("MRFP_SOCKET", "/elsewhere")
    assert listen.default_socket() == Path("/elsewhere")
