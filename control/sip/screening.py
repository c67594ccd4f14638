"""What a request is refused for before anybody looks at what it wants (RFC 3261 section 8.2). Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from control.sip.dialogs import Dialog
from control.sip.message import Envelope
from control.sip.targets import contact_of
from control.sip.values import tokens

if TYPE_CHECKING:
    from control.sip.core import Core

MAKES_DIALOG: Final = frozenset({"INVITE", "SUBSCRIBE", "REFER"})
REFRESHES_TARGET: Final = frozenset({"INVITE", "UPDATE", "SUBSCRIBE", "NOTIFY", "REFER"})
_ONLY_IN_DIALOG: Final = frozenset({"BYE", "UPDATE", "INFO", "PRACK", "NOTIFY"})

Verdict = tuple[int, list[tuple[str, str]]]


def screen(core: Core, envelope: Envelope, dialog: Dialog | None) -> Verdict:
    """The status that a request is refused with, and the fields that say why; 0 if it is fit."""
    method, headers = envelope.method, envelope.headers
    if method not in core.allow:
        return 405, []
    lacking = [tag for tag in tokens(headers.getlist("Require")) if tag not in core.supported]
    if lacking:
        return 420, [("Unsupported", ", ".join(lacking))]
    if dialog is None and (envelope.to.tag or method in _ONLY_IN_DIALOG):
        return 481, []
    if int(headers.get("Max-Forwards") or 70) == 0 and not _is_ours(core, envelope):
        return 483, []
    if dialog is None and method in MAKES_DIALOG and not contact_of(envelope):
        return 400, []
    return 0, []


def _is_ours(core: Core, envelope: Envelope) -> bool:
    """Nobody would have to pass it on. With no domains set, every name is ours."""
    domains = core.settings.domains
    return not domains or envelope.request.uri.host.lower() in {*domains, core.settings.host}
