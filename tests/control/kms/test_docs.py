"""The pages on the KMS say what the code does, and the example in them runs."""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from control.__main__ import main
from control.kms import daemon, reference, settings
from control.kms.errors import Refusal
from control.kms.messages import METHODS
from control.kms.settings import KmsSettings, ListenSettings, StateSettings

ROOT = Path(__file__).parents[3]
PAGE = ROOT / "docs" / "kms-api.md"
MANUAL = ROOT / "docs" / "kms.md"


def test_the_committed_page_is_current() -> None:
    assert PAGE.read_text() == reference.page(), "run: mrfp schema --kms --markdown > docs/kms-api.md"


def test_the_options_in_the_manual_are_current() -> None:
    assert reference.options() in MANUAL.read_text(), "put in the output of: mrfp schema --kms --options"


def test_every_method_and_refusal_is_there() -> None:
    page = reference.page()
    for name in METHODS:
        assert f"### {name}\n" in page
    for refusal in Refusal:
        assert f"| `{refusal}` |" in page
    assert "mixer" not in page.partition("## Errors")[2]


def test_the_schema(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["schema", "--kms"]) == 0
    schema = json.loads(capsys.readouterr().out)
    assert set(schema["methods"]) == set(METHODS)
    assert schema["notifications"] == {}
    assert "writeOnly" not in schema["$defs"]["EpochKey"]["properties"]["secret"], "here keys are read"
    assert main(["schema", "--kms", "--markdown"]) == 0
    assert capsys.readouterr().out == reference.page()


async def test_the_python_example(tmp_path: Path) -> None:
    (example,) = re.findall(r"```python\n(.*?)```", MANUAL.read_text(), re.DOTALL)
    socket = tmp_path / "run" / "kms.sock"
    code = example.replace("/run/mrfp/kms.sock", str(socket))
    chosen = KmsSettings(
        listen=ListenSettings(socket=str(socket)), state=StateSettings(directory=str(tmp_path / "state"))
    )
    async with daemon.opened(chosen):
        shown = await run(code)
    assert shown == "28 octets\nnot_authorised\n"


async def run(code: str) -> str:
    def wait() -> str:
        command = [sys.executable, "-c", code]
        return subprocess.run(command, cwd=ROOT, capture_output=True, check=True, text=True, timeout=30).stdout

    return await asyncio.to_thread(wait)


def test_the_configuration_in_the_manual_is_understood() -> None:
    (text,) = re.findall(r"```toml\n(.*?)```", MANUAL.read_text(), re.DOTALL)
    assert settings.parse(text).listen.tls_port == 7444


def test_the_example_configuration_is_understood() -> None:
    loaded = settings.load(ROOT / "docker" / "kms.toml")
    unit = (ROOT / "docker" / "mrfp-kms.service").read_text()
    assert f"RuntimeDirectory={loaded.listen.path().parent.name}\n" in unit


@pytest.mark.parametrize("page", [PAGE, MANUAL])
def test_links(page: Path) -> None:
    links = set(re.findall(r"\]\(([^)#:]+)\)", page.read_text()))
    assert links
    for link in links:
        assert (page.parent / link).exists()
