"""The words that stand under a field in the source: Python forgets them, people need them.

`mixer.port` and `control.messages` document each field with a string below it. The reference page,
the JSON Schema and the help of `mrfp ctl` are made from those strings, so there is one text to keep.
"""

from __future__ import annotations

import ast
import functools
import inspect
from types import ModuleType

import msgspec


def summary(kind: type) -> str:
    """What a class says about itself, on one line a paragraph."""
    return _unwrap(inspect.cleandoc(kind.__doc__ or ""))


def of_fields(kind: type[msgspec.Struct]) -> dict[str, str]:
    """The documented fields of a struct, with what is said of each."""
    texts: dict[str, str] = {}
    for base in reversed(kind.__mro__):
        module = inspect.getmodule(base)
        if module is not None and issubclass(base, msgspec.Struct) and base is not msgspec.Struct:
            texts |= _of_module(module).get(base.__name__, {})
    return texts


@functools.cache
def _of_module(module: ModuleType) -> dict[str, dict[str, str]]:
    tree = ast.parse(inspect.getsource(module))
    return {node.name: _of_class(node) for node in tree.body if isinstance(node, ast.ClassDef)}


def _of_class(node: ast.ClassDef) -> dict[str, str]:
    texts: dict[str, str] = {}
    for field, below in zip(node.body, node.body[1:], strict=False):
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name):
            match below:
                case ast.Expr(value=ast.Constant(value=str(text))):
                    texts[field.target.id] = _unwrap(inspect.cleandoc(text))
    return texts


def _unwrap(text: str) -> str:
    return "\n\n".join(" ".join(part.split()) for part in text.split("\n\n"))
