"""JSON-RPC 2.0, one message a line, octets to calls and back. Opens no socket and awaits nothing.

A `Session` is one connection's memory. `receive(line)` returns one of three things:

- a `Call`, to be run once; hand its outcome to `reply` or `refuse`, which return the line to send;
- octets, a line to send right away: an error, or the remembered reply to a repeated request;
- None: a notification. JSON-RPC forbids an answer, and nothing is done that cannot be answered.

Requests are idempotent by id: the last 256 ids are remembered with a digest of their content. The
same id with the same content gets the same reply and is not run again (queries are: they change
nothing, and their replies may be large). The same id with other content is an error.

Key octets come in as `Secret` and never go out, unless the `Method` says that its reply confides one:
no other reply can be encoded that holds one, and messages about bad parameters do not repeat what
stood in them (invariant I12).
"""

from __future__ import annotations

import hashlib
import secrets
from collections import OrderedDict
from dataclasses import dataclass
from typing import Annotated, Final, Literal, TypeAlias

import msgspec

from control import messages, wording
from control.api import Api, Method, encode
from control.errors import (
    ID_REUSED,
    INVALID_PARAMS,
    INVALID_REQUEST,
    LINE_TOO_LONG,
    METHOD_NOT_FOUND,
    PARSE_ERROR,
    REFUSAL_CODES,
    ControlError,
)
from mixer import port

LINE_LIMIT: Final = 65_536
"""Octets of a request, its newline not counted. Replies may be longer."""
REMEMBERED: Final = 256
"""Request ids remembered for each connection."""

Int64: TypeAlias = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]
RequestId: TypeAlias = int | str


METHODS: Final[dict[str, Method]] = {
    method.name: method
    for method in (
        Method("node.info", messages.NodeInfo, messages.NodeStatus, query=True),
        Method("node.drain", messages.NodeDrain, port.Done),
        Method("node.audit", messages.NodeAudit, messages.Audit, query=True),
        Method("conference.create", port.ConferenceCreate, port.Done),
        Method("conference.modify", port.ConferenceModify, port.Done),
        Method("conference.destroy", port.ConferenceDestroy, port.Done),
        Method("conference.show", port.ConferenceShow, port.ConferenceStatus, query=True),
        Method("conference.list", port.ConferenceList, port.ConferenceNames, query=True),
        Method("conference.levels", port.ConferenceLevels, port.Levels, query=True),
        Method("leg.add", port.LegAdd, port.LegAdded),
        Method("leg.modify", port.LegModify, port.Done),
        Method("leg.remove", port.LegRemove, port.LegStatus),
        Method("leg.dial", port.LegDial, port.Done),
        Method("key.prepare", port.KeyPrepare, port.Done),
        Method("key.activate", port.KeyActivate, port.Done),
        Method("key.retire", port.KeyRetire, port.Done),
        Method("key.abort", port.KeyAbort, port.Done),
        Method("key.bridge", port.KeyBridge, port.Done),
        Method("play.start", port.PlayStart, port.Done),
        Method("play.stop", port.PlayStop, port.Done),
        Method("record.start", port.RecordStart, port.Done),
        Method("record.stop", port.RecordStop, port.Done),
        Method("events.subscribe", messages.EventsSubscribe, port.Done),
        Method("events.unsubscribe", messages.EventsUnsubscribe, port.Done),
    )
}
MIXER: Final = Api(METHODS, REFUSAL_CODES, noun="mixer", use="control this mixer", clients="controllers")
EVENTS: Final[dict[str, type[port.Event]]] = {
    str(event.__struct_config__.tag): event for event in port.Event.__subclasses__()
}
MISSED: Final = "events.missed"


@dataclass(frozen=True, slots=True)
class Call:
    """A request that is to be run: its parameters are valid, its id is new."""

    id: RequestId
    method: Method
    params: msgspec.Struct
    digest: bytes


class Session:
    """What one connection has asked, and what it was told."""

    def __init__(self, api: Api = MIXER) -> None:
        self._api = api
        self._answers: OrderedDict[RequestId, tuple[bytes, bytes | None]] = OrderedDict()
        # Requests hold keys: an unkeyed digest of one would be a way to test guesses.
        self._digest_key = secrets.token_bytes(32)
        self.ignored = 0
        """Notifications received, and not acted upon."""

    def receive(self, octets: bytes) -> Call | bytes | None:
        """Take one line without its newline. Never raises."""
        try:
            request = _parse(octets)
        except ControlError as error:
            return _failure(_id_of(octets), error)
        if isinstance(request.id, msgspec.UnsetType):
            self.ignored += 1
            return None
        digest = self._digest(request)
        known = self._answers.get(request.id)
        if known is not None and known[0] != digest:
            text = "this id was already used for another request; give every request an id of its own"
            return _failure(request.id, ControlError(ID_REUSED, text))
        if known is not None and known[1] is not None:
            return known[1]
        try:
            method, params = _interpret(self._api, request)
        except ControlError as error:
            line = _failure(request.id, error)
            self._remember(request.id, digest, line)
            return line
        return Call(request.id, method, params, digest)

    def reply(self, call: Call, result: msgspec.Struct) -> bytes:
        """The line that answers a call.

        Raises:
            TypeError: if the result holds a `Secret` that the method does not confide.
        """
        line = encode(_Response(id=call.id, result=result), confides=call.method.confides)
        again = call.method.query or call.method.confides
        self._remember(call.id, call.digest, None if again else line)
        return line

    def refuse(self, call: Call, error: ControlError | port.PortError) -> bytes:
        """The line that says why a call failed."""
        if isinstance(error, port.PortError):
            error = ControlError(REFUSAL_CODES[error.refusal], str(error), error.refusal)
        line = _failure(call.id, error)
        self._remember(call.id, call.digest, line)
        return line

    def _digest(self, request: _Request) -> bytes:
        content = request.method.encode("utf-8", "surrogatepass") + b"\0" + bytes(request.params)
        return hashlib.blake2b(content, digest_size=16, key=self._digest_key).digest()

    def _remember(self, request_id: RequestId, digest: bytes, line: bytes | None) -> None:
        self._answers[request_id] = (digest, line)
        if len(self._answers) > REMEMBERED:
            self._answers.popitem(last=False)


def notification(event: port.Event | messages.Missed) -> bytes:
    """The line that tells a subscriber of an event, or of those it missed."""
    if isinstance(event, messages.Missed):
        return encode(_Notification(method=MISSED, params=event))
    return encode(_Notification(method=f"events.{event.__struct_config__.tag}", params=event))


def farewell(code: int, message: str) -> bytes:
    """The line that a client gets before its connection is closed."""
    return _failure(None, ControlError(code, message))


def too_long() -> bytes:
    """The farewell for a line beyond `LINE_LIMIT`."""
    return farewell(LINE_TOO_LONG, f"a request is one line of at most {LINE_LIMIT} octets; closing")


class _Request(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    jsonrpc: Literal["2.0"]
    method: Annotated[str, msgspec.Meta(max_length=64)]
    params: msgspec.Raw = msgspec.Raw(b"{}")
    id: Annotated[str, msgspec.Meta(max_length=128)] | Int64 | msgspec.UnsetType = msgspec.UNSET


class _Id(msgspec.Struct, frozen=True):
    id: Annotated[str, msgspec.Meta(max_length=128)] | Int64 | None = None


class _Failure(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    code: int
    message: str
    data: dict[str, str | float] | None = None


class _Response(msgspec.Struct, frozen=True, kw_only=True):
    jsonrpc: str = "2.0"
    id: RequestId | None
    result: msgspec.Struct | msgspec.UnsetType = msgspec.UNSET
    error: _Failure | msgspec.UnsetType = msgspec.UNSET


class _Notification(msgspec.Struct, frozen=True, kw_only=True):
    jsonrpc: str = "2.0"
    method: str
    params: msgspec.Struct


def _parse(line: bytes) -> _Request:
    if len(line) > LINE_LIMIT:
        raise ControlError(LINE_TOO_LONG, f"a request is one line of at most {LINE_LIMIT} octets")
    try:
        return _REQUEST.decode(line)
    except msgspec.ValidationError as error:
        if line.lstrip()[:1] == b"[":
            raise ControlError(INVALID_REQUEST, "batches are not taken: send one request a line") from None
        raise ControlError(INVALID_REQUEST, wording.of(error, _Request)) from None
    except _NOT_JSON as error:
        raise ControlError(PARSE_ERROR, wording.of_syntax(error)) from None


def _interpret(api: Api, request: _Request) -> tuple[Method, msgspec.Struct]:
    method = api.methods.get(request.method)
    if method is None:
        text = f"there is no method {wording.name(request.method)}; there are {', '.join(api.methods)}"
        raise ControlError(METHOD_NOT_FOUND, text)
    try:
        return method, api.params[method.name].decode(request.params)
    except msgspec.ValidationError as error:
        raise ControlError(INVALID_PARAMS, wording.of(error, method.params)) from None
    except _NOT_JSON as error:
        raise ControlError(PARSE_ERROR, wording.of_syntax(error)) from None


def _id_of(line: bytes) -> RequestId | None:
    """The id of a request that is wrong in some other way, if it can be made out."""
    try:
        return _ID.decode(line).id if len(line) <= LINE_LIMIT else None
    except (msgspec.ValidationError, *_NOT_JSON):
        return None


def _failure(request_id: RequestId | None, error: ControlError) -> bytes:
    data: dict[str, str | float] = {"refusal": error.refusal.value} if error.refusal else {}
    if error.retry_after_s is not None:
        data["retry_after_s"] = error.retry_after_s
    if error.highest is not None:
        data["highest"] = error.highest
    failure = _Failure(code=error.code, message=str(error), data=data or None)
    return encode(_Response(id=request_id, error=failure))


_NOT_JSON: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
_REQUEST: Final = msgspec.json.Decoder(_Request)
_ID: Final = msgspec.json.Decoder(_Id)
