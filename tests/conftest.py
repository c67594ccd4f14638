"""Rules of the whole suite: nothing is left out in silence, and in CI nothing is left out."""

from __future__ import annotations

import ctypes.util
import importlib.util
import os
import shutil
import subprocess
from functools import cache

import pytest

_GSTREAMER = {
    "gstreamer": "srtpenc srtpdec rtppcmapay alawdec",
    "gstreamer-codecs": "opusenc opusdec avenc_g722 avdec_g722 amrnbenc amrnbdec voamrwbenc amrwbdec",
}
"""The elements that count."""
_ASK_GSTREAMER = (
    "import sys, gi; gi.require_version('Gst', '1.0'); from gi.repository import Gst; Gst.init(None); "
    "raise SystemExit(not all(map(Gst.ElementFactory.find, sys.argv[1:])))"
)


@cache
def present(program: str) -> bool:
    """Whether a program is on this machine; `gstreamer` stands for its Python binding and plugins, `gstreamer-codecs`
    for more of these, `pesq` for a package, and what begins with `lib` is a library."""
    if program == "pesq":
        return importlib.util.find_spec(program) is not None
    if program.startswith("lib"):
        return ctypes.util.find_library(program.removeprefix("lib")) is not None
    if program not in _GSTREAMER:
        return shutil.which(program) is not None
    try:
        elements = _GSTREAMER[program].split()
        found = subprocess.run([SYSTEM_PYTHON, "-c", _ASK_GSTREAMER, *elements], capture_output=True, check=False)
        return found.returncode == 0
    except FileNotFoundError:
        return False


@pytest.fixture(scope="session", autouse=True)
def state_directory(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Daemons of the tests keep their state apart from everybody's."""
    os.environ["STATE_DIRECTORY"] = str(tmp_path_factory.mktemp("state"))


SYSTEM_PYTHON = "/usr/bin/python3"
"""The interpreter that the distribution's gi belongs to."""


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Honour `@pytest.mark.needs(...)`: skip where a client is missing, fail in CI."""
    programs = [program for mark in item.iter_markers("needs") for program in mark.args]
    missing = [program for program in programs if not present(program)]
    if missing:
        reason = f"{', '.join(missing)} not found: run .ci/clients to learn how to get it"
        if os.environ.get("CI") == "true":
            pytest.fail(reason, pytrace=False)
        pytest.skip(reason)
