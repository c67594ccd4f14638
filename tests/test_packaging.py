"""The wheel is whole, and the image's way of installing it works. No Docker engine is needed for that."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from control import settings
from control.focus import settings as focus_settings
from control.kms import settings as kms_settings
from mixer.codecs.amr import AMR, AMR_WB

ROOT = Path(__file__).resolve().parent.parent
DOCKER = ROOT / "docker"


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_installed_into_a_fresh_environment_it_runs(tmp_path: Path) -> None:
    """The commands of the image, outside of the source tree."""
    prefix = tmp_path / "opt"
    subprocess.run([str(DOCKER / "install"), str(prefix), sys.executable], check=True, cwd=tmp_path)
    told = subprocess.run(
        [str(prefix / "bin" / "mrfp"), "--help"], check=True, cwd=tmp_path, capture_output=True, text=True
    )
    assert "serve" in told.stdout
    where = "import control.daemon, mixer.engine, mixer.service; print(mixer.engine.__file__)"
    found = subprocess.run(
        [str(prefix / "bin" / "python"), "-I", "-c", where],
        check=True,
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert Path(found.stdout.strip()).is_relative_to(prefix), "the installed one, not the source tree"
    assert list(prefix.glob("lib/python3*/site-packages/mixer/py.typed"))
    assert list(prefix.glob("lib/python3*/site-packages/control/py.typed"))


def test_the_example_configuration_is_understood() -> None:
    loaded = settings.load(DOCKER / "mrfp.toml")
    assert loaded.mixer.port == 40000
    dockerfile = (DOCKER / "Dockerfile").read_text()
    assert f":{loaded.http.port}/healthz" in dockerfile
    assert loaded.control.socket.startswith("/run/mrfp/")
    focus = focus_settings.load(DOCKER / "focus.toml")
    assert focus.keys.kms == f"unix:{kms_settings.load(DOCKER / 'kms.toml').listen.socket}"
    assert focus.mixer.address == f"unix:{loaded.control.socket}"


def test_the_image_copies_only_what_is_there() -> None:
    """A COPY of something missing would be found by a Docker engine; there is none in CI."""
    copied = re.findall(r"^COPY (?!--from)(.+) \S+$", (DOCKER / "Dockerfile").read_text(), re.MULTILINE)
    names = [name for line in copied for name in line.split()]
    assert {"pyproject.toml", "mixer", "control", "docker/install"} <= set(names)
    for name in names:
        assert (ROOT / name).exists(), name
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    assert {name.split("/")[0] for name in names} <= {line[1:] for line in ignored if line[0] == "!"}


def test_the_image_and_the_tests_have_the_libraries_of_amr() -> None:
    packages = {part.package for codec in (AMR, AMR_WB) for part in (codec.speech_decoder, codec.speech_encoder)}
    assert len(packages) == 3
    for place in (DOCKER / "Dockerfile", ROOT / ".ci" / "clients"):
        assert packages <= set(re.findall(r"[\w-]+", place.read_text()))
