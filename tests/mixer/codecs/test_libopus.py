"""Where libopus is found, and what is said if it is not."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from collections.abc import Iterator

import pytest

from mixer.codecs import CodecError, libopus
from mixer.codecs.opus import Opus


@pytest.fixture
def nowhere(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(libopus, "candidates", lambda: ["libopus-that-is-not.so"])
    libopus._library.cache_clear()
    yield
    libopus._library.cache_clear()


def test_it_is_the_one_in_the_wheel_of_pyav() -> None:
    spec = importlib.util.find_spec("av")
    assert spec is not None
    assert "av.libs" in libopus.candidates()[0]
    assert libopus.version().startswith("libopus ")


def test_pyav_is_not_imported_for_it() -> None:
    code = "import sys, mixer.codecs.opus as o; o.Opus().decoder(48000); raise SystemExit('av' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.usefixtures("nowhere")
def test_without_it_the_codec_says_what_to_install() -> None:
    codec = Opus()
    assert "pip install av" in codec.missing
    with pytest.raises(CodecError, match="pip install av"):
        codec.decoder(48000)
    with pytest.raises(CodecError, match="pip install av"):
        codec.encoder(48000, 20, None)


def test_without_pyav_that_of_the_system_is_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert libopus.candidates() == ["libopus.so.0", "libopus.so"]


def test_a_file_that_is_no_library_is_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    real = libopus.candidates()
    monkeypatch.setattr(libopus, "candidates", lambda: [__file__, *real])
    libopus._library.cache_clear()
    assert libopus.missing() == ""
    libopus._library.cache_clear()
