"""Watcher: a subscription to the events of a conference (RFC 4575), and the picture that it makes.

Knows: SUBSCRIBE and NOTIFY (RFC 6665). Must never know: calls. Without a subscription it answers 481.
"""

from __future__ import annotations

from typing import Final

from control.roster.errors import Malformed
from control.roster.people import User
from control.roster.reader import Outcome, Picture
from control.sip.agent import Agent, Credentials, Dialog, Incoming

EVENT: Final = "conference"
DOCUMENT: Final = "application/conference-info+xml"
EXPIRES_S: Final = 3600


async def watch(watcher: Watcher, agent: Agent, uri: str, identity: str, credentials: Credentials | None) -> None:
    """Subscribe. The first notice may be there before this returns.

    Raises:
        CallRefused: with the status.
        SipError: if nobody answers.
    """
    dialog = await agent.subscribe(
        uri,
        from_uri=identity,
        event=EVENT,
        expires=EXPIRES_S,
        headers=[("Accept", DOCUMENT)],
        credentials=credentials,
    )
    watcher.subscribed(dialog)


class Watcher:
    """What one subscriber sees."""

    def __init__(self) -> None:
        self.picture = Picture()
        self.notices = 0
        self.gaps = 0
        """Notices that were missing one before them; each made it refresh."""
        self.malformed = 0
        self.state = ""
        """As the last notice says: `active;expires=3599`, `terminated;reason=noresource`."""
        self._dialog: Dialog | None = None

    @property
    def users(self) -> dict[str, User]:
        """Who is in the conference, by entity."""
        return self.picture.users

    @property
    def terminated(self) -> bool:
        return self.state.startswith("terminated")

    def subscribed(self, dialog: Dialog) -> None:
        """The other side has taken the subscription."""
        self._dialog = dialog

    async def notified(self, incoming: Incoming) -> None:
        """A NOTIFY, which may come before the answer to SUBSCRIBE."""
        self.notices += 1
        self.state = incoming.header("Subscription-State") or ""
        incoming.respond(200)
        if incoming.body and self._apply(incoming.body) is Outcome.GAP and not self.terminated:
            self.gaps += 1
            await self.refresh()

    async def refresh(self, expires_s: int = EXPIRES_S) -> None:
        """Subscribe anew: a full document comes."""
        if self._dialog is not None and not self._dialog.ended:
            await self._dialog.request("SUBSCRIBE", headers=[("Event", EVENT), ("Expires", str(expires_s))])

    async def end(self) -> None:
        """Want no more of it."""
        await self.refresh(0)

    def _apply(self, document: bytes) -> Outcome:
        try:
            return self.picture.apply(document)
        except Malformed:
            self.malformed += 1
            return Outcome.DISCARDED
