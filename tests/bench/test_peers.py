"""The comparison with Janus, without Janus: what it is told, how it is configured, what is made of the numbers."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Callable
from pathlib import Path

import msgspec
import numpy as np
import pytest

from bench.capacity import plan_of
from bench.load import ports
from bench.peers import __main__ as peers
from bench.peers import api, janus
from bench.peers.results import Found, Row, best, ratios, report
from bench.plan import Plan, PlanError
from bench.processes import BenchError
from bench.rekey import tables
from bench.sweep import PAGE
from bench.verdict import Spread
from tests.bench.verdicts import verdict

PLAN = Plan(legs=4, keying="unique", clear=True)
OPUS = Plan(legs=4, keying="unique", clear=True, codec="opus", quiet="dtx", bitrate=24000, complexity=3)


def row(mixer: str = "Janus", legs: int = 100, cpu_us: float = 50.0, **changes: object) -> Row:
    return Row(
        mixer=mixer,
        media="RTP in clear" if mixer.startswith("Janus") else "SRTP, group keys",
        codec="PCMU",
        quiet="silence",
        legs=legs,
        cpu_us=cpu_us,
        cores=0.5,
        rss_mib=30.0,
        other_cores=0.0,
        verdict=verdict(**changes),
    )


def test_a_room_takes_plain_rtp_at_the_rate_of_the_mix() -> None:
    assert api.create(1, PLAN)["sampling_rate"] == 8000
    assert api.create(1, OPUS)["sampling_rate"] == 48000
    assert api.create(7, OPUS)["room"] == 7
    assert api.create(1, PLAN)["allow_rtp_participants"] is True


def test_a_leg_joins_with_its_own_address_and_payload_type() -> None:
    joined = api.join(1, 2, PLAN, 5004)
    assert (joined["codec"], joined["id"]) == ("pcmu", 3)
    assert joined["rtp"] == {"ip": PLAN.address(2), "port": 5004, "payload_type": 0}
    assert "bitrate" not in joined
    joined = api.join(1, 2, OPUS, 5004)
    assert (joined["codec"], joined["bitrate"], joined["quality"]) == ("opus", 24000, 3)
    assert joined["rtp"]["payload_type"] == 111


def test_what_janus_has_not_is_said() -> None:
    with pytest.raises(api.JanusError, match="no G722"):
        api.join(1, 2, Plan(legs=4, codec="G722"), 5004)
    with pytest.raises(api.JanusError, match="without a port"):
        api.port_of({"audiobridge": "joined"})
    assert api.port_of({"rtp": {"ip": "127.0.0.1", "port": 10000, "payload_type": 0}}) == 10000


def test_its_configuration_is_in_one_directory(tmp_path: Path) -> None:
    home, library = tmp_path / "home", tmp_path / "lib"
    home.mkdir()
    janus.configure(home, library)
    assert [path.name for path in (home / "plugins").iterdir()] == ["libjanus_audiobridge.so"]
    assert (home / "transports" / "libjanus_pfunix.so").readlink() == library / "transports" / "libjanus_pfunix.so"
    written = {path.name: path.read_text() for path in home.glob("*.jcfg")}
    assert set(written) == {"janus.jcfg", "janus.plugin.audiobridge.jcfg", "janus.transport.pfunix.jcfg"}
    assert str(home / "janus.sock") in written["janus.transport.pfunix.jcfg"]
    assert 'local_ip = "127.0.0.1"' in written["janus.plugin.audiobridge.jcfg"]
    assert all(text.count("{") == text.count("}") > 0 for text in written.values())
    assert "/etc" not in "".join(written.values())


def test_its_plugins_are_found_beside_it(tmp_path: Path) -> None:
    binary = tmp_path / "bin" / "janus"
    with pytest.raises(BenchError, match="apt-get install"):
        janus.library_of(binary)
    plugins = tmp_path / "lib" / "some-arch" / "janus" / "plugins"
    plugins.mkdir(parents=True)
    (plugins / "libjanus_audiobridge.so").touch()
    assert janus.library_of(binary) == plugins.parent


async def test_a_missing_janus_names_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda name: None)
    with pytest.raises(BenchError, match="apt-get install janus"):
        async with janus.janus(0):
            pass


Answer = Callable[[api.Message], list[api.Message]]


async def conversation(path: Path, answer: Answer, body: api.Message) -> api.Message:
    """Say one thing to a stand-in for Janus."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    listener.bind(str(path))
    listener.listen(1)
    listener.setblocking(False)
    loop = asyncio.get_running_loop()

    async def serve() -> None:
        peer, _ = await loop.sock_accept(listener)
        with peer:
            while octets := await loop.sock_recv(peer, 1 << 16):
                asked = json.loads(octets)
                for reply in answer(asked):
                    await loop.sock_sendall(peer, json.dumps(reply | {"transaction": asked["transaction"]}).encode())

    serving = asyncio.create_task(serve())
    connection = api.Connection()
    try:
        await connection.open(path)
        return await connection.call(await connection.attach(), body)
    finally:
        await connection.close()
        await serving
        listener.close()


def as_janus(data: api.Message) -> Answer:
    def answer(asked: api.Message) -> list[api.Message]:
        if asked["janus"] in ("create", "attach"):
            return [{"janus": "success", "data": {"id": 77}}]
        assert (asked["session_id"], asked["handle_id"]) == (77, 77)
        return [{"janus": "ack"}, {"janus": "event", "plugindata": {"plugin": api.PLUGIN, "data": data}}]

    return answer


async def test_the_answer_that_comes_after_an_ack_is_the_answer(tmp_path: Path) -> None:
    data = {"audiobridge": "joined", "rtp": {"port": 10002}}
    heard = await conversation(tmp_path / "s", as_janus(data), api.join(1, 0, PLAN, 5004))
    assert api.port_of(heard) == 10002


async def test_a_refusal_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(api.JanusError, match="refused join: No such room"):
        await conversation(tmp_path / "s", as_janus({"error": "No such room"}), api.join(1, 0, PLAN, 5004))
    with pytest.raises(api.JanusError, match="refused 'create': no"):
        await conversation(tmp_path / "t", lambda _: [{"janus": "error", "error": {"reason": "no"}}], {})


def test_each_leg_sends_to_its_own_port() -> None:
    plan = Plan(legs=5, slices=2)
    assert ports(plan, "9000").tolist() == [9000] * 5
    assert ports(plan, "1,2,3,4,5").tolist() == [1, 3, 5, 2, 4], "legs of the first burst first"
    with pytest.raises(PlanError, match="2 ports for 5 legs"):
        ports(plan, "1,2")


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"problems": ["leg 1 hears itself"]}, "hears itself"),
        ({"lost": 100}, "not heard"),
        ({"arrival_ms": Spread(1.0, 40.0, 50.0)}, "40 ms late"),
        ({"auth_failures": 1}, "not authentic"),
    ],
)
def test_a_size_is_not_held(changes: dict[str, object], says: str) -> None:
    assert row().faults() == []
    assert says in "; ".join(row(**changes).faults())  # type: ignore[arg-type]


async def test_sizes_grow_until_one_is_not_held() -> None:
    async def measure(plan: Plan) -> Row:
        return row(legs=plan.legs, lost=0 if plan.legs < 20 else 5000)

    climbed = await peers.climb(measure, [Plan(legs=legs) for legs in (5, 10, 20, 40)])
    assert [one.legs for one in climbed] == [5, 10, 20]


def test_legs_a_core_are_of_the_largest_size_held() -> None:
    rows = [
        row(legs=20, cpu_us=80.0),
        row(legs=100, cpu_us=50.0),
        row(legs=200, cpu_us=10.0, lost=9999),
        row("Janus, not pinned", legs=200, cpu_us=60.0),
        row("mrfp", legs=1000, cpu_us=5.0),
    ]
    found = best(rows, "PCMU", "Janus")
    assert found is not None
    assert (found.legs, found.legs_a_core) == (100, 400)
    assert best(rows, "opus", "Janus") is None
    (line,) = ratios(rows)
    assert "4000 legs a core in mrfp (SRTP, group keys), 400 in Janus: **10.0 times**" in line


def test_the_report_says_what_is_not_equal_and_goes_into_the_page() -> None:
    text = report(Found(machine="m", day="2026-01-01", rows=[row(), row("mrfp", 1000, 5.0)]))
    assert "no SRTP" in text
    assert "| Janus | RTP in clear | PCMU (silence) | 100 | 50 |" in text
    assert "too high" not in text
    page = tables.fill(PAGE.read_text(encoding="utf-8"), "peers", text)
    assert text in page
    assert tables.fill(page, "peers", text) == page
    busy = msgspec.structs.replace(row(), other_cores=0.5)
    assert "too high" in report(Found(machine="m", day="", rows=[busy]))


def test_options_are_plans() -> None:
    options = peers.parser().parse_args(["--codec", "opus", "--seconds", "1"])
    plan = plan_of(options, legs=20, conferences=1, codec="opus", keying="unique", clear=True)
    assert (plan.quiet, plan.seconds, plan.mix_rate) == ("dtx", 1.0, 48000)
    assert np.array_equal(plan.talks(), np.arange(20) < 3)
