"""The arrows of the house: who may import whom. Read from the source, so that no import can hide.

control ---> mixer.port, mixer.secret, mixer.suites          only the composition roots see more
libsrtp only in mixer/libsrtp.py, a codec library only in its own file; cffi there and on floor 3; clocks and sockets
only on floor 3
"""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
SOURCES = sorted(path for house in ("mixer", "control") for path in (ROOT / house).rglob("*.py"))
NAMES = [str(path.relative_to(ROOT)) for path in SOURCES]

FLOOR_3 = {
    *("mixer/crew.py", "mixer/ports.py", "mixer/service.py", "mixer/timer.py", "mixer/udp.py"),
    # Prompts are read, and recordings written, in threads of their own: no tick waits for a disk.
    *(f"mixer/studio/{name}.py" for name in ("desk", "folder", "promptfiles", "recorder", "recordfiles")),
}
"""Where the world comes in: clocks, sockets, files, the event loop."""

COMPOSITION_ROOTS = {"control/daemon.py", "control/settings.py"}
"""The only files of control that see the inside of the mixer."""

_SIP_ON_A_VIRTUAL_CLOCK = (
    "admission client_transactions confirming core digest errors exchange flows framing layer message origin "
    "reliable requests responses screening server_transactions session_timer settings targets timers uris values"
)
SANS_IO = {f"control/{name}.py" for name in ("api", "errors", "messages", "protocol")} | {
    *(f"control/kms/{name}.py" for name in ("callers", "errors", "limits", "messages", "registry")),
    *(f"control/sip/{name}.py" for name in _SIP_ON_A_VIRTUAL_CLOCK.split()),
    *(f"control/focus/{name}.py" for name in ("dialled", "media", "messages")),
    *(str(path.relative_to(ROOT)) for path in (ROOT / "control" / "sdp").glob("*.py")),
}
"""What of control has neither clock nor socket nor file."""

PORT = {"mixer", "mixer.port", "mixer.secret", "mixer.suites"}

each_source = pytest.mark.parametrize("name", NAMES)


def tree_of(name: str) -> ast.Module:
    return ast.parse((ROOT / name).read_text(encoding="utf-8"), name)


def imports_of(name: str) -> set[str]:
    """Modules that a file imports, at any depth: `from a import b` counts as `a` and `a.b`."""
    found: set[str] = set()
    for node in ast.walk(tree_of(name)):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name}:{node.lineno}: import by the full name"
            assert node.module
            found.add(node.module)
            found.update(f"{node.module}.{alias.name}" for alias in node.names)
    return found


def packages_of(name: str) -> set[str]:
    return {module.partition(".")[0] for module in imports_of(name)}


def test_there_is_something_to_read() -> None:
    assert len(NAMES) > 10


@each_source
def test_mixer_knows_nothing_of_control(name: str) -> None:
    if name.startswith("mixer/"):
        assert "control" not in packages_of(name)


@each_source
def test_product_knows_nothing_of_tests_and_bench(name: str) -> None:
    assert not packages_of(name) & {"tests", "bench"}


@each_source
def test_control_sees_the_port_only(name: str) -> None:
    if name.startswith("control/") and name not in COMPOSITION_ROOTS:
        inner = {module for module in imports_of(name) if module.startswith("mixer.")}
        allowed = {module for module in inner if ".".join(module.split(".")[:2]) in PORT}
        assert inner == allowed, f"{name} reaches into the mixer: {sorted(inner - allowed)}"


@each_source
def test_one_file_knows_libsrtp(name: str) -> None:
    if name != "mixer/libsrtp.py":
        assert "pylibsrtp" not in packages_of(name)


@each_source
def test_few_files_know_c(name: str) -> None:
    codecs = {f"mixer/codecs/{name}.py" for name in ("libamr", "libopus", "spandsp")}
    if name not in {"mixer/libsrtp.py", "mixer/timer.py", "mixer/udp.py", *codecs}:
        assert "cffi" not in packages_of(name)
    if name != "control/process.py":  # prctl, against core dumps
        assert "ctypes" not in packages_of(name)


@each_source
def test_the_core_has_no_clock_and_no_socket(name: str) -> None:
    if name.startswith("mixer/") and name not in FLOOR_3:
        found = packages_of(name) & {"asyncio", "time", "socket", "uvloop", "threading", "concurrent", "datetime"}
        # A certificate has dates; these are written there, and no clock is read.
        assert found <= ({"datetime"} if name == "mixer/certificate.py" else set())


@each_source
def test_the_core_knows_no_file_that_is_played_or_recorded(name: str) -> None:
    if name.startswith("mixer/") and not name.startswith("mixer/studio/") and name not in FLOOR_3:
        assert not {module for module in imports_of(name) if module.startswith("mixer.studio")}


@each_source
def test_one_file_knows_openssl(name: str) -> None:
    if name != "mixer/dtls.py" and name.startswith("mixer/"):
        assert "OpenSSL" not in packages_of(name)


@each_source
def test_the_rules_of_control_have_neither(name: str) -> None:
    if name in SANS_IO:
        assert not packages_of(name) & {"asyncio", "time", "socket", "os", "pathlib", "threading", "datetime"}


@each_source
def test_the_kms_knows_no_mixer(name: str) -> None:
    """It makes keys for whoever may have them, and never sees media, nor speaks to what does."""
    if name.startswith("control/kms/"):
        known = {"control.director", "control.daemon", "control.settings", "control.desk"}
        assert not imports_of(name) & known
        assert "control.client.MixerClient" not in imports_of(name)


@each_source
def test_sdp_sip_and_the_roster_know_no_conference(name: str) -> None:
    """Each is a room of its own: only the focus sees them together."""
    for package, others in (
        ("control/sip/", {"control.sdp", "control.roster", "control.focus", "control.rekey", "control.client"}),
        ("control/sdp/", {"control.sip", "control.roster", "control.focus", "control.rekey", "control.client"}),
        ("control/roster/", {"control.sip", "control.sdp", "control.focus", "control.rekey", "control.client"}),
        ("control/rekey/", {"control.sip", "control.sdp", "control.roster", "control.focus"}),
    ):
        if name.startswith(package):
            assert not {".".join(module.split(".")[:2]) for module in imports_of(name)} & others


@each_source
def test_no_mangled_names(name: str) -> None:
    for node in ast.walk(tree_of(name)):
        words = [getattr(node, field, None) for field in ("id", "attr", "name", "arg")]
        for word in words:
            mangled = isinstance(word, str) and word.startswith("__") and not word.endswith("__")
            assert not mangled, f"{name}: {word}: one underscore is enough"


@each_source
def test_every_module_says_what_it_is(name: str) -> None:
    assert ast.get_docstring(tree_of(name)), f"{name} has no docstring"
