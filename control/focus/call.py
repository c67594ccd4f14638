"""One call: a dialog, what was agreed on in it, and the key that its phone opens packets with.

Knows: SDP of this call, in both directions, and the order of offers. Must never know: the policy, or other calls.

An SDES phone holds one key at a time. It begins on the key that its answer carried; every later key comes by a
re-INVITE that changes nothing else (RFC 4568 section 7.1.4), and is in force when it says 200.
"""

from __future__ import annotations

import asyncio
import secrets
from dataclasses import replace
from typing import Final

import structlog
from sipmessage import Response

from control.focus import media
from control.focus.identity import Identity
from control.focus.media import Place
from control.sdp import model
from control.sdp.answer import Agreed, Local, Unacceptable, agree, write_answer
from control.sdp.crypto import CryptoLine, InlineKey
from control.sdp.offer import agree_answer, write_offer
from control.sdp.refusal import Warn
from control.sdp.terms import Terms
from control.sip.dialogs import Dialog
from control.sip.errors import SipError
from control.sip.incoming import Incoming
from mixer import port
from mixer.secret import Secret

REKEY_TIMEOUT_S: Final = 4.0
"""A phone that has not answered a re-INVITE by then has not got the key."""


class Call:
    """One phone in one room."""

    def __init__(self, name: str, identity: Identity, terms: Terms, place: Place, *, cname: str) -> None:
        """`name`: of its leg; `cname`: of the streams it hears."""
        self.name, self.identity, self.terms = name, identity, terms
        self.dialog: Dialog | None = None
        self.agreed: Agreed | None = None
        self.held: port.Key | None = None
        """What the phone opens packets with: the last key that it has accepted."""
        self.psk: Secret | None = None
        """With which it takes keys by MIKEY; None if it is an SDES phone."""
        self.agent = ""
        """Its User-Agent."""
        self.hushed = False
        """Nothing is sent to it before its ACK: who forges an INVITE never sees the tag that an ACK needs."""
        self.waiting = False
        """It has still to key in the PIN: it hears nobody, nobody hears it, and it is on no roster."""
        self.apart = False
        """It has come in by the keypad: while it waited it must not have had the group's key, and a leg that begins
        on a key of its own stays on it."""
        self.rekeyed = False
        """It has said yes to another key than its first."""
        self.updates = False
        """It takes UPDATE."""
        self.joined_by = "dialed-in"
        self.ssrc = 0
        """It sends with, once heard."""
        self.ending = False
        self._place, self._cname = place, cname
        self._session, self._version = secrets.randbits(31), 0
        self._received = 0
        """Highest epoch of the phone's own keys."""
        self._known: list[Secret] = []
        """Those of the phone's own keys that the mixer knows of."""
        self._offer = b""
        """Of ours, while it is not answered."""
        self._offered: dict[int, port.Key] = {}
        """The keys in it, by tag: the answer takes one."""
        self._sdp: model.Session | None = None
        """The last SDP in the call, of either end, while it is needed: it holds keys in clear."""
        self._listened = False
        """It was not on hold from the first."""
        self._turn = asyncio.Lock()
        """One offer at a time, whoever makes it (RFC 3264 section 4)."""

    # -- the first offer and answer -----------------------------------------------------------

    def consider(self, offer: bytes) -> Agreed:
        """Read the first offer. Raises `SdpError`, `Unacceptable`."""
        self._sdp = model.parse(offer)
        return self._settle(self._reachable(agree(self._sdp, self.terms)))

    def answer(self, held: port.Key | None, number: int) -> bytes:
        """The answer to the offer that was considered.

        `held`: the key that it tells the phone; `number`: the UDP port that the mixer gave its leg.
        """
        assert self.agreed is not None
        assert self._sdp is not None
        self.held = held
        self._place = media.moved(self._place, number)
        sdp, self._sdp = self._sdp, None
        self._keep(sdp)
        return write_answer(sdp, self.agreed, self._local(held))

    def offer(self) -> bytes:
        """A first offer of ours, to one whom we call, or who called without one: a key for every suite."""
        self._offered = {
            tag: port.Key(suite=suite, secret=media.fresh_key(suite)) for tag, suite in enumerate(self.terms.suites, 1)
        }
        lines = [CryptoLine(tag, key.suite, (InlineKey(key.secret),)) for tag, key in self._offered.items()]
        self._offer = write_offer(self.terms, self._local(None), crypto=lines)
        return self._offer

    def conclude(self, answer: bytes) -> Agreed:
        """Judge the answer to it. Raises `SdpError`, `Unacceptable`."""
        sdp = model.parse(answer)
        agreed = self._reachable(agree_answer(self._offer, sdp, self.terms))
        self._keep(sdp)
        if agreed.payload_type != agreed.payload_type_in:
            raise Unacceptable(Warn.MEDIA_FORMAT, "the payload type must be the same both ways")
        if agreed.crypto is not None:
            self.held = self._offered[agreed.crypto.tag]
        self._offered, self._offer = {}, b""
        return self._settle(agreed)

    def _keep(self, sdp: model.Session) -> None:
        """Our next offer refuses what was refused before, in its place; of one m-line nothing need be kept."""
        self._sdp = sdp if len(sdp.media) > 1 else None

    @property
    def on_hold(self) -> bool:
        """It listened once, and does not now: what it sends is no speech (RFC 3264 section 8.4)."""
        return self._listened and self.agreed is not None and self.agreed.direction in ("sendonly", "inactive")

    def _settle(self, agreed: Agreed) -> Agreed:
        self.agreed, self._listened = agreed, agreed.direction in ("sendrecv", "recvonly")
        self._known = [key.secret for key in media.received(agreed)]
        self._received = len(self._known)
        return agreed

    # -- offers in the running call -----------------------------------------------------------

    async def rekey(self, key: port.Key) -> bool:
        """Offer the phone another key to open packets with; true if it said yes.

        What it answers may hold a new key of its own: see `fresh_keys`.
        """
        async with self._turn:
            dialog, agreed = self.dialog, self.agreed
            if dialog is None or agreed is None or self.ending:
                return False
            offer = write_offer(self.terms, self._local(key), agreed=agreed, previous=self._sdp)
            try:
                response = await dialog.request("INVITE", body=offer, timeout_s=REKEY_TIMEOUT_S)
                if not 200 <= response.code < 300:
                    _log.warning("rekey_refused", leg=self.name, status=response.code)
                    return False
                sdp = model.parse(response.body)
                answered = agree_answer(offer, sdp, self.terms)
            except (SipError, model.SdpError, Unacceptable) as error:
                _log.warning("rekey_refused", leg=self.name, reason=str(error))
                return False
            self.held, self.agreed, self.rekeyed = key, answered, True
            self._keep(sdp)
            return True

    async def refresh(self, fields: list[tuple[str, str]]) -> Response | None:
        """Say that we are still here, and hear whether the phone is (RFC 4028); None if it does not answer.

        An UPDATE says nothing of media (RFC 3311). Phones that have none get an offer of what holds already.
        """
        dialog = self.dialog
        if dialog is None or self.ending:
            return None
        try:
            if self.updates:
                return await dialog.request("UPDATE", headers=fields)
            async with self._turn:
                if self.agreed is None or self.ending:
                    return None
                offer = write_offer(self.terms, self._local(self.held), agreed=self.agreed, previous=self._sdp)
                response = await dialog.request("INVITE", headers=fields, body=offer)
                if 200 <= response.code < 300:
                    self._take_answer(offer, response.body)
                return response
        except (model.SdpError, Unacceptable) as error:  # of the answer; the phone is there, and that was the question
            _log.warning("refresh_misunderstood", leg=self.name, reason=str(error))
            return response
        except SipError:
            return None

    async def reoffered(self, incoming: Incoming, fields: list[tuple[str, str]]) -> Agreed | None:
        """The phone offers anew: hold, resume, another address, another key of its own. None if nothing changes, or
        it has cancelled, or has been hung up on.

        `fields`: to be added to our answer.

        Raises:
            SdpError, Unacceptable: if it is refused; the call goes on as it was.
        """
        async with self._turn:
            if self.agreed is None or self.ending:
                incoming.respond(491)  # RFC 3311 section 5.2: our first offer is not answered yet
                return None
            if not incoming.body:  # a refresh, or it takes itself off hold: the answer comes in the ACK
                both_ways = replace(self.agreed, direction="sendrecv")
                offer = write_offer(self.terms, self._local(self.held, both_ways), agreed=both_ways, previous=self._sdp)
                if incoming.respond(200, headers=fields, body=offer) is not None:
                    self._offer = offer
                return None
            sdp = model.parse(incoming.body)
            agreed = self._reachable(agree(sdp, self.terms, before=self.agreed))
            self._same_media(agreed)
            answer = write_answer(sdp, agreed, self._local(self.held, agreed))
            if incoming.respond(200, headers=fields, body=answer) is None:
                return None
            self._take(agreed, sdp)
            return agreed

    def acknowledged(self, answer: bytes) -> bool:
        """The ACK of a re-INVITE that offered nothing: whether anything has changed.

        Raises:
            SdpError, Unacceptable: if its answer does not fit; the call goes on as it was.
        """
        offer, self._offer = self._offer, b""
        if not offer or not answer:
            return False
        self._take_answer(offer, answer)
        return True

    def fresh_keys(self) -> list[port.Key]:
        """Keys under which the phone will send from now on, if its last SDP had others than were asked for before."""
        if self.agreed is None:
            return []
        fresh, received = [], media.received(self.agreed)
        for key in received:
            if key.secret not in self._known:
                self._received += 1
                fresh.append(port.Key(suite=key.suite, secret=key.secret, mki=key.mki, epoch=self._received))
        self._known = [key.secret for key in received]
        return fresh

    def _take_answer(self, offer: bytes, answer: bytes) -> None:
        sdp = model.parse(answer)
        agreed = self._reachable(agree_answer(offer, sdp, self.terms))
        self._same_media(agreed)
        self._take(agreed, sdp)

    def _take(self, agreed: Agreed, sdp: model.Session) -> None:
        self.agreed = agreed
        self._listened |= agreed.direction in ("sendrecv", "recvonly")
        self._keep(sdp)

    def _same_media(self, agreed: Agreed) -> None:
        """The mixer's leg has one codec, one suite, and one certificate that it believes."""
        before = self.agreed
        assert before is not None
        prints = set(before.fingerprints)
        if _lasting(agreed) != _lasting(before) or (prints and prints.isdisjoint(agreed.fingerprints)):
            raise Unacceptable(Warn.MISCELLANEOUS, "the codec and the keying of a running call stay as they are")

    def _reachable(self, agreed: Agreed) -> Agreed:
        if agreed.remote is not None and agreed.remote.startswith("[") and not self._place.host6:
            raise Unacceptable(Warn.NETWORK_PROTOCOL, "There is no IPv6 for media here")
        return agreed

    # -- our side -----------------------------------------------------------------------------

    def _local(self, key: port.Key | None, agreed: Agreed | None = None) -> Local:
        self._version += 1
        return media.local(
            self._place,
            agreed or self.agreed,
            key,
            session_id=self._session,
            version=self._version,
            cname=self._cname,
        )


def _lasting(agreed: Agreed) -> tuple[object, ...]:
    """What stays as it is for as long as the call lasts."""
    suite = agreed.crypto.suite if agreed.crypto is not None else ""
    return agreed.codec, agreed.rate, agreed.payload_type, agreed.amr, agreed.security, suite


_log: structlog.typing.FilteringBoundLogger = structlog.get_logger("focus")
