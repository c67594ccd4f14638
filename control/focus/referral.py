"""REFER: a user has the focus call somebody, or hang up on somebody (RFC 4579 sections 5.5 and 5.11, RFC 3515).

Knows: what a Refer-To asks for, and how its fate is told. Must never know: how calls come up.
"""

from __future__ import annotations

from urllib.parse import unquote

import structlog

from control.errors import ControlError
from control.focus.dialled import dialled
from control.focus.identity import Gate, Identity, Refused, bare
from control.focus.rooms import Rooms
from control.focus.settings import FocusSettings
from control.focus.switchboard import Switchboard
from control.sdp.answer import Unacceptable
from control.sdp.model import SdpError
from control.sip.dialogs import Dialog
from control.sip.errors import CallRefused, SipError
from control.sip.incoming import Incoming
from control.sip.values import parse_name_addr


class Referral:
    """Serves REFER for those who may."""

    def __init__(self, settings: FocusSettings, rooms: Rooms, switchboard: Switchboard) -> None:
        self._settings, self._rooms, self._switchboard = settings, rooms, switchboard

    async def refer(self, incoming: Incoming, gate: Gate, now: float) -> None:
        """Do what it asks, and tell what became of it by NOTIFY, unless that is not wanted (RFC 4488).

        Raises:
            Refused, Challenge: if it may not, or makes no sense.
        """
        room, identity = self._asked(incoming, gate, now)
        if identity.uri not in self._settings.trust.admins or not identity.proves("digest"):
            raise Refused(403, "only users in [trust] admins may, and they must prove who they are")
        target, method = _refer_to(incoming)
        quiet = (incoming.header("Refer-Sub") or "").strip().lower() == "false"
        apart = incoming.dialog is None
        dialog = incoming.respond(202, headers=[("Refer-Sub", "false")] if quiet else [])
        try:
            fate = await (self._remove(room, target) if method == "BYE" else self._invite(room, target))
            if dialog is not None and not quiet and not dialog.ended:
                await _tell(dialog, fate)
        finally:
            if apart and dialog is not None:
                dialog.end()

    def _asked(self, incoming: Incoming, gate: Gate, now: float) -> tuple[str, Identity]:
        if incoming.dialog is not None:
            room, call = self._switchboard.room_of(incoming.dialog)
            return room.name, call.identity
        name = dialled(str(incoming.request.uri)).room
        self._rooms.settings(name)
        return name, gate.judge(incoming, "digest", now)

    async def _invite(self, room: str, target: str) -> str:
        try:
            await self._switchboard.dial_out(room, target)
        except CallRefused as refusal:
            return f"{refusal.status} {refusal.reason}"
        except (SipError, ControlError, Refused, SdpError, Unacceptable) as error:
            _log.info("not_referred", room=room, reason=str(error))
            return "503 Service Unavailable"
        return "200 OK"

    async def _remove(self, room: str, target: str) -> str:
        removed = await self._switchboard.ending.remove(room, bare(target))
        return "200 OK" if removed else "404 Not Found"


def _refer_to(incoming: Incoming) -> tuple[str, str]:
    """Whom it is about, and by which method."""
    lines = incoming.all("Refer-To")
    if len(lines) != 1:
        raise Refused(400, "exactly one Refer-To is wanted")
    try:
        uri = parse_name_addr(lines[0]).uri
    except ValueError:
        raise Refused(400, "Refer-To holds a URI") from None
    if uri.partition(":")[0].lower() not in ("sip", "sips"):
        raise Refused(400, "Refer-To holds a sip: or sips: URI")
    address, _, headers = uri.partition("?")
    target, method = bare(address), "INVITE"
    for parameter in address.split(";")[1:]:
        name, _, value = parameter.partition("=")
        if name.strip().lower() == "method":
            method = unquote(value).strip().upper()
    if not target.lower().startswith(("sip:", "sips:")):
        raise Refused(400, "Refer-To holds a SIP URI")
    if method not in ("INVITE", "BYE") or headers:
        raise Refused(400, "Refer-To asks for an INVITE or a BYE, without headers")
    return target, method


async def _tell(dialog: Dialog, fate: str) -> None:
    headers = [("Event", "refer"), ("Subscription-State", "terminated;reason=noresource")]
    body = f"SIP/2.0 {fate}\r\n".encode()
    await dialog.request("NOTIFY", headers=headers, body=body, content_type="message/sipfrag;version=2.0")


_log: structlog.typing.FilteringBoundLogger = structlog.get_logger("focus")
