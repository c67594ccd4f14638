"""Structured logs on standard error: one JSON object a line, or a line for people. Never a key.

Two nets under invariant I12: nobody logs a key on purpose, and fields that could hold one by name or
by type are blanked here, however deep they sit. Tracebacks carry no local variables.
"""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Mapping, MutableMapping
from typing import Any, Final, TextIO

import msgspec
import structlog

from mixer.secret import Secret

REDACTED: Final = "<redacted>"
_NAMES: Final = re.compile(r"(^|_)(secret|key|keys|salt|inline|password|token|rx|tx)$", re.IGNORECASE)


def configure(level: str, style: str, stream: TextIO | None = None) -> None:
    """Set up structlog, and the standard library's logging through it. `style`: json or console."""
    stream = stream or sys.stderr
    number = logging.getLevelNamesMapping()[level.upper()]
    shared: list[structlog.typing.Processor] = [
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    tail = [redact, *_renderers(style, stream)]
    structlog.configure(
        processors=[*shared, *tail],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.PrintLoggerFactory(stream),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *tail],
            foreign_pre_chain=shared,
        )
    )
    logging.basicConfig(handlers=[handler], level=max(number, logging.WARNING), force=True)


def redact(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """A structlog processor that blanks whatever might be a key."""
    return {name: _clean(name, value) for name, value in event.items()}


def _clean(name: str, value: Any) -> Any:
    if name != "event" and _NAMES.search(name):
        return REDACTED
    if isinstance(value, Secret | bytes | bytearray | memoryview):
        return REDACTED
    if isinstance(value, msgspec.Struct):
        return {field: _clean(field, getattr(value, field)) for field in value.__struct_fields__}
    if isinstance(value, Mapping):
        return {str(inner): _clean(str(inner), held) for inner, held in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_clean("", held) for held in value]
    return value


def _renderers(style: str, stream: TextIO) -> list[structlog.typing.Processor]:
    if style == "json":
        return [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
    # The default formatter of the console shows local variables: a plain one does not.
    plain = structlog.dev.plain_traceback
    return [structlog.dev.ConsoleRenderer(colors=stream.isatty(), exception_formatter=plain)]
