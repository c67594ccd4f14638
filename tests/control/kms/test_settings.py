"""`kms.toml`: defaults that work on one machine, and errors that name what is wrong."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from control.__main__ import main
from control.kms import daemon, psks, settings
from control.kms.client import KmsClient
from control.kms.limits import Rate
from control.kms.messages import EpochCreate
from control.kms.registry import Bounds
from control.kms.service import Authority, KmsService
from control.kms.settings import KmsSettings, MikeySettings, SettingsError, StateSettings
from mixer.secret import Secret
from tests.control.conftest import until
from tests.control.fakes import spellings

LONG, SHORT = Secret(bytes(range(32))), Secret(b"0123456789abcdef")


def test_nothing_is_needed() -> None:
    plain = settings.parse("")
    assert plain == KmsSettings() == settings.load(None)
    assert plain.limits.bounds() == Bounds()
    ours = frozenset(("uid:0", f"uid:{os.geteuid()}"))
    assert plain.roles.identities() == (ours, ours)
    assert plain.roles.uids() == {0, os.geteuid()}


def test_everything_can_be_said(tmp_path: Path) -> None:
    path = tmp_path / "kms.toml"
    path.write_text(
        """
        [listen]
        socket = "/run/x.sock"
        tls_port = 7444
        certificate = "a.pem"
        key = "b.pem"
        authority = "c.pem"
        [roles]
        systems = ["focus.example.net", "uid:1000"]
        auditors = []
        member_uids = [2000]
        [limits]
        member_per_s = 1
        member_burst = 2
        lifetime_s = 60
        [state]
        directory = "/var/lib/x"
        [mikey]
        psks = "/etc/mrfp/psks"
        [log]
        level = "debug"
        """
    )
    read = settings.load(path)
    assert read.listen.path() == Path("/run/x.sock")
    assert read.listen.identity().authority == Path("c.pem")
    assert read.roles.identities() == (frozenset(("focus.example.net", "uid:1000")), frozenset[str]())
    assert read.roles.uids() == {0, os.geteuid(), 1000, 2000}
    assert read.limits.rates()[1] == Rate(1.0, 2)
    assert read.limits.bounds().lifetime_s == 60
    assert read.state.audit_path() == Path("/var/lib/x/audit.log")
    changed = settings.change(read, listen={"socket": "/y", "tls_port": None}, state={"directory": "/z"})
    assert (changed.listen.path(), changed.listen.tls_port) == (Path("/y"), 7444)
    assert changed.state.directory_path() == Path("/z")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[lisen]\nsocket = ''", r"the section \[lisen\] is unknown: did you mean `listen`\?"),
        ("[roles]\nsystem = []", r"\[roles\] has no option `system`: did you mean `systems`\?"),
        ("[roles]\nsystems = ['uid:me']", r"\[roles\] an identity that begins with `uid:`"),
        ("[limits]\nmember_per_s = 0", r"\[limits\] member_per_s: Expected"),
        ("[listen]\ntls_port = 7444", r"\[listen\] tls_port needs `certificate`"),
    ],
)
def test_mistakes_are_named(text: str, message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        settings.parse(text, "x.toml")


def test_a_mistake_is_told_and_nothing_starts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["kms", "--tls-port", "7444", "--directory", str(tmp_path / "state")]) == 1
    told = "mrfp kms: command line: [listen] tls_port needs `certificate`, the path of a PEM file\n"
    assert capsys.readouterr().err == told
    assert not (tmp_path / "state").exists()


def test_where_things_are(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("MRFP_SOCKET", "MRFP_KMS_SOCKET", "STATE_DIRECTORY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_RUNTIME_DIR", "/run/user/7")
    monkeypatch.setenv("XDG_STATE_HOME", "/home/x/state")
    monkeypatch.setattr("os.geteuid", lambda: 7)
    plain = KmsSettings()
    assert plain.listen.path() == Path("/run/user/7/mrfp/kms.sock")
    assert plain.state.directory_path() == Path("/home/x/state/mrfp-kms")
    monkeypatch.setattr("os.geteuid", lambda: 0)
    assert plain.listen.path() == Path("/run/mrfp/kms.sock")
    assert plain.state.directory_path() == Path("/var/lib/mrfp-kms")
    monkeypatch.setenv("STATE_DIRECTORY", "/var/lib/private/kms:/more")
    monkeypatch.setenv("MRFP_KMS_SOCKET", "/elsewhere")
    assert plain.listen.path() == Path("/elsewhere")
    assert plain.state.directory_path() == Path("/var/lib/private/kms")


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    path = tmp_path / "psks"
    path.touch(0o600)
    path.write_text(f"# shared\n\nalice {LONG.to_base64()}\n  bob {SHORT.to_base64()}==\n")
    return path


def test_shared_keys(keys: Path) -> None:
    read = psks.load(keys)
    assert read["alice"].reveal() == bytes(range(32))
    assert set(read) == {"alice", "bob"}


@pytest.mark.parametrize(
    "line", ["carol", "carol short", "carol !!", "alice " + "Ab" * 20, f"carol {'A' * 40}", "a b c"]
)
def test_a_bad_line_is_named_and_not_repeated(keys: Path, line: str) -> None:
    with keys.open("a") as file:
        file.write(line + "\n")
    with pytest.raises(SettingsError, match="line 5: write `identity base64-key`") as bad:
        psks.load(keys)
    assert line not in str(bad.value)


def test_keys_open_to_others_are_refused(keys: Path) -> None:
    keys.chmod(0o640)
    with pytest.raises(SettingsError, match="mode 0600"):
        psks.load(keys)
    with pytest.raises(SettingsError, match="cannot read"):
        psks.load(keys.with_name("none"))
    keys.chmod(0o600)
    keys.write_bytes(b"\xff")
    with pytest.raises(SettingsError, match="UTF-8"):
        psks.load(keys)


async def test_a_mikey_side_is_made_of_the_service_and_the_keys(keys: Path, tmp_path: Path) -> None:
    class Teller:
        """Answers with the key of whom it is asked about: a test may."""

        def __init__(self, psk_of: dict[str, Secret]) -> None:
            self.psk_of = psk_of

        def answer(self, octets: bytes, *, now: int) -> bytes:
            return self.psk_of[octets.decode()].reveal()

    def make(service: KmsService, psk_of: object) -> Authority:
        assert not service.may_request("focus", "room")
        assert callable(psk_of)
        return Teller({"alice": psk_of("alice")})

    chosen = settings.change(
        KmsSettings(state=StateSettings(directory=str(tmp_path / "state")), mikey=MikeySettings(psks=str(keys))),
        listen={"socket": str(tmp_path / "run" / "kms.sock")},
    )
    with pytest.raises(SettingsError, match="without MIKEY-TICKET"):
        async with daemon.opened(chosen):
            raise AssertionError("it must not open")
    async with daemon.opened(chosen, make) as house, KmsClient(f"unix:{house.socket}") as client:
        assert await client.mikey(b"alice") == bytes(range(32))
    for spelling in spellings(bytes(range(32))):
        assert spelling not in (tmp_path / "state" / "audit.log").read_bytes()


async def test_what_is_open_is_closed_if_the_rest_cannot_be(tmp_path: Path) -> None:
    (tmp_path / "plain").write_text("")
    chosen = KmsSettings(state=StateSettings(directory=str(tmp_path / "state")))
    broken = settings.change(chosen, listen={"socket": str(tmp_path / "plain")})
    with pytest.raises(Exception, match="not a socket"):
        async with daemon.opened(broken):
            raise AssertionError("it must not open")
    async with daemon.opened(settings.change(chosen, listen={"socket": str(tmp_path / "kms.sock")})) as house:
        assert house.service.audit.lines == 3


async def test_keys_are_wiped_when_their_time_is_over_and_at_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("control.kms.daemon.SWEEP_S", 0.001)
    chosen = KmsSettings(state=StateSettings(directory=str(tmp_path / "state")))
    chosen = settings.change(chosen, listen={"socket": str(tmp_path / "kms.sock")}, limits={"lifetime_s": 1e-3})
    async with daemon.opened(chosen) as house:
        registry = house.service.registry
        registry.register("focus", "room", [])
        early = registry.create("focus", EpochCreate(conference="room", epoch=1), 0.0)
        await until(lambda: not registry.epochs_kept)
        late = registry.create("focus", EpochCreate(conference="room", epoch=2), 1e12)
        assert (len(early.secret), len(late.secret)) == (0, 32)
    assert len(late.secret) == 0
