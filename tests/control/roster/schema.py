"""Whether a document is one: libxml2 against the schema, and what section 4.4 of the RFC asks beyond it."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from lxml import etree

HERE: Final = Path(__file__).parent

_RFC_4575: Final = (HERE / "conference-info.xsd").as_uri()
_OWN: Final = (HERE / "mrfp-conference.xsd").as_uri()
_BOTH: Final = f"""
<schema xmlns="http://www.w3.org/2001/XMLSchema">
  <import namespace="urn:ietf:params:xml:ns:conference-info" schemaLocation="{_RFC_4575}"/>
  <import namespace="urn:mrfp:conference" schemaLocation="{_OWN}"/>
</schema>
"""
_SCHEMA: Final = etree.XMLSchema(etree.fromstring(_BOTH))
_RFC: Final = "{urn:ietf:params:xml:ns:conference-info}"


def check(octets: bytes) -> Any:
    """The root element; AssertionError if the document is not valid."""
    assert octets.startswith(b"<?xml version='1.0' encoding='UTF-8'?>")
    root = etree.fromstring(octets)
    _SCHEMA.assertValid(root)
    assert root.get("version") is not None
    _check_states(root)
    if root.get("state") == "full":
        assert root.find(f"{_RFC}conference-description") is not None
        assert root.find(f"{_RFC}users") is not None
    return root


def _check_states(element: Any) -> None:
    state = element.get("state")
    for child in element:
        if state == "full" and child.get("state") is not None:
            assert child.get("state") == "full"
        _check_states(child)
    if state == "deleted":
        assert len(element) == 0
