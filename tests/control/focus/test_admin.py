"""Operators: `mrfp ctl` against a running focus, REFER of those who may, the metrics page, and the pages in docs."""

from __future__ import annotations

import asyncio
import json
import re
import socket
import sys
import urllib.request
from pathlib import Path

import pytest

from control.__main__ import main
from control.focus import daemon, reference, settings
from control.focus.messages import METHODS, Refusal
from control.focus.settings import FocusSettings
from control.sip.agent import Agent, Dialog, Incoming, SipSettings
from tests.control.focus.house import House, house, phones, until
from tests.control.focus.raw import offer, peer
from tests.control.focus.test_doors import as_user, with_users

ROOT = Path(__file__).parents[3]
PAGE = ROOT / "docs" / "focus-api.md"
MANUAL = ROOT / "docs" / "focus.md"


async def ctl(here: House, *words: str) -> int:
    """Run a command against the focus, in a thread: it has a loop of its own."""
    return await asyncio.to_thread(main, ["ctl", "--socket", str(here.home / "focus.sock"), *words])


# -- mrfp ctl ---------------------------------------------------------------------------------


async def test_call_somebody_and_hang_up(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    async with house(tmp_path) as here, phones(("bob", 0)) as (bob,):
        assert await ctl(here, "call", bob.uri, "room", "--json") == 0
        called = json.loads(capsys.readouterr().out)
        assert (called["user"], called["joined_by"], called["security"]) == (bob.uri, "dialed-out", "sdes")
        assert await ctl(here, "room", "list") == 0
        assert capsys.readouterr().out == "room\n"
        assert await ctl(here, "room", "show", "room", "--json") == 0
        (shown,) = json.loads(capsys.readouterr().out)["calls"]
        assert (shown["call"], shown["keying"], shown["agent"]) == (called["call"], "own", "mrfp-caller")
        assert await ctl(here, "focus", "info", "--json") == 0
        info = json.loads(capsys.readouterr().out)
        assert (info["rooms"], info["calls"], info["calls_made"], info["faults"]) == (1, 1, 1, 0)
        assert await ctl(here, "call", "hangup", called["call"], "--evict") == 0
        await until(lambda: bob.call.ended)
        assert "removed by the operator" in bob.call.ended
        await here.nothing_left()


async def test_close_a_room(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    async with house(tmp_path) as here, phones(("ann", 0), ("bob", 0), ("cyd", 0)) as (ann, bob, cyd):
        await ann.dial(here.uri("room"))
        await bob.dial(here.uri("room"))
        await cyd.dial(here.uri("other"))
        assert await ctl(here, "room", "close", "room") == 0
        await until(lambda: ann.call.ended and bob.call.ended)
        assert cyd.in_call
        assert [room.name for room in here.focus.rooms] == ["other"]
        await ann.dial(here.uri("room"))


async def test_what_makes_no_sense_is_said_in_words(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    async with house(tmp_path) as here, phones(("bob", 0)) as (bob,):
        bob.answers = False
        assert await ctl(here, "call", "dial", "bob", "room") == 2
        refusals = {
            ("room", "show", "attic"): "unknown_room",
            ("room", "close", "attic"): "unknown_room",
            ("call", "hangup", "nobody.1"): "unknown_call",
            ("call", bob.uri, "room"): "not_answered",
        }
        for words, refusal in refusals.items():
            assert await ctl(here, *words) == 1, words
            assert f"[{refusal}]" in capsys.readouterr().err
        await here.nothing_left()
        await here.stop("focus")
        assert await ctl(here, "room", "list") == 3
        assert "mrfp focus" in capsys.readouterr().err


async def test_the_mixer_is_gone_for_a_call_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    async with house(tmp_path) as here, phones(("bob", 0)) as (bob,):
        await here.stop("mixer")
        assert await ctl(here, "call", bob.uri, "room") == 1
        assert "[mixer]" in capsys.readouterr().err
        assert not bob.calls


def test_a_focus_that_cannot_start_says_why(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["focus", "--config", str(tmp_path / "none.toml")]) == 1
    assert "none.toml" in capsys.readouterr().err


def test_the_command_line_says_where_the_focus_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[FocusSettings] = []
    monkeypatch.setattr(daemon, "serve", told.append)
    (tmp_path / "focus.toml").write_text('[sip]\nuser_agent = "kept"\n[http]\nport = 1\n', encoding="utf-8")
    places = ["--socket", "f.sock", "--host", "::1", "--udp-port", "-1", "--tcp-port", "0", "--tls-port", "5061"]
    main(["focus", "--config", str(tmp_path / "focus.toml"), *places, "--http-port", "9100"])
    (chosen,) = told
    sip = chosen.sip
    assert (sip.host, sip.udp_port, sip.tcp_port, sip.tls_port, sip.user_agent) == ("::1", -1, 0, 5061, "kept")
    assert (chosen.control.path(), chosen.http.port) == (Path("f.sock"), 9100)


async def test_tls_without_a_certificate_is_said_in_words(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "tls.toml").write_text("[sip]\nudp_port = -1\ntcp_port = -1\ntls_port = 0\n", encoding="utf-8")
    async with house(tmp_path) as here:
        mixer = f"unix:{here.home / 'control.sock'}"
        words = ["focus", "--config", str(tmp_path / "tls.toml"), "--mixer", mixer]
        started = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "control", *words, cwd=ROOT, stderr=asyncio.subprocess.PIPE
        )
        _, said = await started.communicate()
    assert started.returncode == 1
    assert said.decode().startswith("mrfp focus: TLS needs a certificate and a key")


# -- REFER ------------------------------------------------------------------------------------


class Moderator:
    """Sends REFER, and collects what it is told of their fate."""

    def __init__(self, here: House) -> None:
        self.here = here
        self.agent = Agent(SipSettings(udp_port=0, tcp_port=-1), self)
        self.told: list[tuple[str, str]] = []

    async def refer(self, target: str, name: str = "root", password: str = "toor", **headers: str) -> int:
        """The status."""
        fields = [("Refer-To", target), *((key.replace("_", "-"), value) for key, value in headers.items())]
        response = await self.agent.request(
            "REFER",
            self.here.uri("room"),
            from_uri=f"sip:{name}@example.net",
            headers=fields,
            credentials=as_user(name, password),
        )
        return response.code

    def arrived(self, incoming: Incoming) -> None:
        self.told.append((incoming.header("Subscription-State") or "", incoming.body.decode()))
        incoming.respond(200)

    def cancelled(self, incoming: Incoming) -> None: ...

    def acknowledged(self, dialog: Dialog, body: bytes) -> None: ...

    def unacknowledged(self, dialog: Dialog) -> None: ...

    def failed(self, dialog: Dialog) -> None: ...


def with_admin(home: Path) -> str:
    told = with_users(home, {"root": "toor", "eve": "open"})
    return told.replace("[trust]", '[trust]\nadmins = ["sip:root@example.net"]')


async def test_refer_somebody_in_and_out(tmp_path: Path) -> None:
    async with house(tmp_path, with_admin(tmp_path)) as here, phones(("bob", 0), ("cyd", 0)) as (bob, cyd):
        await cyd.dial(here.uri("room"))
        root = Moderator(here)
        await root.agent.open()
        try:
            assert await root.refer(f"<{bob.uri}>", Refer_Sub="false") == 202
            await until(lambda: bob.in_call and len(here.focus.switchboard.calls) == 2)
            assert await root.refer(f"<{bob.uri};method=BYE>", Refer_Sub="false") == 202
            await until(lambda: bob.call.ended)
            assert "removed by a moderator" in bob.call.ended
            assert cyd.in_call
            assert not root.told
            await until(lambda: len(here.focus.agent.core.dialogs) == 1)
        finally:
            await root.agent.close()
        await cyd.hang_up()
        await here.nothing_left()


async def test_only_who_may_and_proves_it(tmp_path: Path) -> None:
    async with house(tmp_path, with_admin(tmp_path)) as here, phones(("bob", 0)) as (bob,):
        root = Moderator(here)
        await root.agent.open()
        try:
            assert await root.refer(f"<{bob.uri}>", "eve", "open") == 403
            assert await root.refer(f"<{bob.uri}>", "root", "guess") == 401
            assert await root.refer("<mailto:bob>") == 400
            assert await root.refer(f"<{bob.uri}?Replaces=x>") == 400
            assert await root.refer(f"<{bob.uri};method=REGISTER>") == 400
            assert await root.refer("nonsense <") == 400
        finally:
            await root.agent.close()
        assert not bob.calls
        await here.nothing_left()


async def test_what_became_of_it_is_told(tmp_path: Path) -> None:
    trusting = '[trust]\npeers = ["127.0.0.1"]\nadmins = ["sip:root@example.net"]\n'
    word = {"P-Asserted-Identity": "<sip:root@example.net>"}
    async with house(tmp_path, trusting) as here, peer(here) as root, phones(("bob", 0)) as (bob,):
        assert (await root.ask("INVITE", offer(), word)).status == 200
        fates = {f"<{bob.uri}>": "200 OK", "<sip:nobody@127.0.0.1;method=BYE>": "404 Not Found"}
        for target, fate in fates.items():
            assert (await root.ask("REFER", headers={"Refer-To": target})).status == 202
            notice = await root.request_of("NOTIFY")
            root.reply(notice)
            assert notice.body == f"SIP/2.0 {fate}\r\n"
            assert notice.headers["content-type"] == "message/sipfrag;version=2.0"
            assert notice.headers["subscription-state"].startswith("terminated")
        bob.answers = False
        await bob.hang_up()
        assert (await root.ask("REFER", headers={"Refer-To": f"<{bob.uri}>"})).status == 202
        notice = await root.request_of("NOTIFY")
        root.reply(notice)
        assert notice.body == "SIP/2.0 486 Busy Here\r\n"
        assert (await root.ask("BYE")).status == 200
        await here.nothing_left()


async def test_a_member_who_may_not_refer(tmp_path: Path) -> None:
    async with house(tmp_path) as here, peer(here) as eve, phones(("bob", 0)) as (bob,):
        assert (await eve.ask("INVITE", offer())).status == 200
        assert (await eve.ask("REFER", headers={"Refer-To": f"<{bob.uri}>"})).status == 403
        assert not bob.calls
        assert (await eve.ask("BYE")).status == 200
        await here.nothing_left()


# -- pages ------------------------------------------------------------------------------------


async def test_the_metrics_page(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        number = free.getsockname()[1]
    async with house(tmp_path, f"[http]\nport = {number}") as here, peer(here) as eve, peer(here) as ann:
        await eve.ask("INVITE", "nonsense")
        assert (await ann.ask("INVITE", offer())).status == 200

        def page(path: str) -> str:
            with urllib.request.urlopen(f"http://127.0.0.1:{number}{path}", timeout=10) as answer:
                return str(answer.read().decode())

        text = await asyncio.to_thread(page, "/metrics")
        wanted = {
            "mrfp_focus_rooms": 1,
            "mrfp_focus_calls": 1,
            "mrfp_focus_joining": 0,
            "mrfp_focus_calls_made_total": 1,
            'mrfp_focus_refused_total{status="400"}': 1,
            "mrfp_focus_faults_total": 0,
        }
        for name, value in wanted.items():
            assert f"{name} {value:.1f}\n" in text
        for secret in ("ann", "eve", "sip:", ann.address):
            assert secret not in text
        assert await asyncio.to_thread(page, "/healthz")
        await ann.ask("BYE")


def test_the_committed_page_is_current() -> None:
    assert PAGE.read_text() == reference.page(), "run: mrfp schema --focus --markdown > docs/focus-api.md"


def test_the_options_in_the_manual_are_current() -> None:
    assert reference.options() in MANUAL.read_text(), "put in the output of: mrfp schema --focus --options"


def test_the_configurations_in_the_manual_are_understood() -> None:
    for text in re.findall(r"```toml\n(.*?)```", MANUAL.read_text(), re.DOTALL):
        settings.parse(text)


def test_every_method_and_refusal_is_there() -> None:
    page = reference.page()
    for name in METHODS:
        assert f"### {name}\n" in page
    for refusal in Refusal:
        assert f"| `{refusal}` |" in page


def test_the_schema(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["schema", "--focus"]) == 0
    assert set(json.loads(capsys.readouterr().out)["methods"]) == set(METHODS)
    assert main(["schema", "--focus", "--markdown"]) == 0
    assert capsys.readouterr().out == reference.page()
