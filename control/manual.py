"""The reference page of a service that is not the mixer, made from its method table.

Knows: how such a page is built. Must never know: which service.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from control import docstrings, reference
from control.api import Api


@dataclass(frozen=True)
class Manual:
    """What is known of one service."""

    api: Api
    settings: type[msgspec.Struct]
    """Of its TOML file."""
    head: str
    """What stands above the methods, Markdown."""
    examples: Mapping[str, Mapping[str, Any]]
    """Params by method."""
    refusals: Mapping[str, tuple[str, ...]]
    """Why a method may refuse."""
    texts: Mapping[Any, str]
    """What each refusal means."""
    codes: Mapping[Any, int]

    def schema_text(self) -> str:
        """The JSON Schema as text."""
        return reference.schema_text(self.api)

    def options(self) -> str:
        """Every option of the TOML file, Markdown."""
        return reference.options(self.settings)

    def page(self) -> str:
        """The reference page, Markdown."""
        return "\n".join(self._page()) + "\n"

    def _page(self) -> Iterator[str]:
        yield self.head
        yield "## Methods\n"
        for method in self.api.methods.values():
            yield from reference.of_method(method, self.examples[method.name], self.refusals[method.name])
        yield "## Values\n"
        top = {kind for method in self.api.methods.values() for kind in (method.params, method.reply)}
        for kind in sorted(reference.within(top), key=lambda kind: kind.__name__):
            yield f"### {kind.__name__}\n"
            yield docstrings.summary(kind) + "\n"
            yield from reference.of_fields(kind)
        yield from reference.of_protocol_errors(self.api)
        yield from reference.of_refusals(self.api, {r.value: (code, self.texts[r]) for r, code in self.codes.items()})
