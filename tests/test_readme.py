"""The README does what it says: its Python runs against a real daemon, its commands and links exist."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from control.protocol import METHODS

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_python_example(tmp_path: Path) -> None:
    (example,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    socket = tmp_path / "control.sock"
    (tmp_path / "example.py").write_text(example.replace("/run/mrfp/control.sock", str(socket)), encoding="utf-8")
    serve = [sys.executable, "-m", "control", "serve", "--port", "0", "--socket", str(socket)]
    with subprocess.Popen(serve, cwd=ROOT, stderr=subprocess.PIPE, text=True) as daemon:
        assert daemon.stderr is not None
        assert any("serving" in line for line in daemon.stderr)
        run = [sys.executable, "-u", str(tmp_path / "example.py")]
        with subprocess.Popen(run, cwd=ROOT, stdout=subprocess.PIPE, text=True, env={"PYTHONPATH": str(ROOT)}) as shown:
            assert shown.stdout is not None
            assert re.fullmatch(r"ann sends to UDP \d+ and hears SSRC 0x[0-9a-f]+\n", shown.stdout.readline())
            daemon.terminate()
        assert daemon.wait(30) == 0


@pytest.mark.parametrize("link", sorted(set(re.findall(r"\]\(([^)#:]+)\)", README))))
def test_links(link: str) -> None:
    assert (ROOT / link).exists()


def test_commands_exist() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    assert set(re.findall(r"^\s*make ([a-z]+)", README, re.MULTILINE)) <= targets
    methods = {name.replace(".", " ") for name in METHODS}
    assert {" ".join(words) for words in re.findall(r"^mrfp ctl ([a-z]+) ([a-z]+)", README, re.MULTILINE)} <= methods
