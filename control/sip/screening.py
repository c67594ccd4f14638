"""What a request is refused for before anybody looks at what it wants (RFC 3261 section 8.2). Pure."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from control.sip.message import Envelope
from control.sip.settings import SipSettings
from control.sip.targets import contact_of
from control.sip.values import tokens

MAKES_DIALOG: Final = frozenset({"INVITE", "SUBSCRIBE", "REFER"})
REFRESHES_TARGET: Final = frozenset({"INVITE", "UPDATE", "SUBSCRIBE", "NOTIFY", "REFER"})
_ONLY_IN_DIALOG: Final = frozenset({"BYE", "UPDATE", "INFO", "PRACK", "NOTIFY"})

Verdict = tuple[int, list[tuple[str, str]]]


def screen(
    envelope: Envelope, settings: SipSettings, allow: Collection[str], supported: Collection[str], *, in_dialog: bool
) -> Verdict:
    """The status that a request is refused with, and the fields that say why; 0 if it is fit.

    Args:
        allow: methods that are taken; `supported`: extensions.
        in_dialog: it is in a dialog that we know.
    """
    method, headers = envelope.method, envelope.headers
    if method not in allow:
        return 405, []
    lacking = [tag for tag in tokens(headers.getlist("Require")) if tag not in supported]
    if lacking:
        return 420, [("Unsupported", ", ".join(lacking))]
    if not in_dialog and (envelope.to.tag or method in _ONLY_IN_DIALOG):
        return 481, []
    if int(headers.get("Max-Forwards") or 70) == 0 and not _is_ours(settings, envelope):
        return 483, []
    if not in_dialog and method in MAKES_DIALOG and not contact_of(envelope):
        return 400, []
    return 0, []


def _is_ours(settings: SipSettings, envelope: Envelope) -> bool:
    """Nobody would have to pass it on. With no domains set, every name is ours."""
    domains = settings.domains
    return not domains or envelope.request.uri.host.lower() in {*domains, settings.host}
