"""Octets of a stranger, parsed as XML: no DTD, no entities, nothing fetched, bounded.

Knows what an attack by XML looks like. Must never know what the document is about.
"""

from __future__ import annotations

from typing import Any, Final

from lxml import etree

from control.roster.errors import Malformed

MAX_OCTETS: Final = 16 << 20
"""Of one document: that of ten thousand users has about 6 MB."""

Element = Any  # lxml ships no types


def parse(octets: bytes) -> Element:
    """The root element.

    Raises:
        Malformed: if it is no XML, or none that a peer may send.
    """
    if len(octets) > MAX_OCTETS:
        raise Malformed(f"the document has {len(octets)} octets; {MAX_OCTETS} are read")
    parser = etree.XMLParser(
        resolve_entities=False,
        load_dtd=False,
        no_network=True,
        huge_tree=False,
        remove_comments=True,
        remove_pis=True,
    )
    try:
        root = etree.fromstring(octets, parser)
    except (etree.XMLSyntaxError, ValueError) as error:
        raise Malformed(f"the document is no XML: {error}") from error
    if root.getroottree().docinfo.internalDTD is not None:
        raise Malformed("the document has a DTD; none is needed, and none is taken")
    return root
