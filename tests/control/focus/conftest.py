"""What tests of the focus have in common."""

from __future__ import annotations

import io
import logging
from collections.abc import Iterator

import pytest
import structlog

from control import logs


@pytest.fixture(params=["json", "console"])
def stream(request: pytest.FixtureRequest) -> Iterator[io.StringIO]:
    """The log, at its most talkative."""
    handlers, level = list(logging.getLogger().handlers), logging.getLogger().level
    log = io.StringIO()
    logs.configure("debug", request.param, log)
    yield log
    structlog.reset_defaults()
    logging.getLogger().handlers[:] = handlers
    logging.getLogger().setLevel(level)
