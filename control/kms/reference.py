"""The reference page of the KMS, made from its method table: `mrfp schema --kms --markdown`."""

from __future__ import annotations

from typing import Any, Final

from control.kms.errors import REFUSAL_CODES, Refusal
from control.kms.messages import KMS
from control.kms.settings import KmsSettings
from control.manual import Manual
from control.protocol import LINE_LIMIT, REMEMBERED

_HEAD: Final = f"""\
# The protocol of the KMS

<!-- Made by `mrfp schema --kms --markdown` from control/kms/. Do not edit: change those. -->

JSON-RPC 2.0, one message a line (NDJSON, UTF-8), over a Unix socket or over TCP with mutual TLS 1.3;
[the page on the KMS](kms.md) says who may ask for what. `control.kms.client.KmsClient` speaks it for Python
programs; `mrfp schema --kms` prints its JSON Schema.

- A request is one line of at most {LINE_LIMIT} octets. Its `id` is a string or an integer. Unknown fields are
  errors, at every depth. Batches are refused; requests may be pipelined, and are run in order.
- **Idempotent by id**, for the last {REMEMBERED} ids of a connection: the same request gets the same reply and is not
  run again. Replies with keys are not kept; such a request is run again, and gets the same key as long as the
  KMS keeps it. The same id for another request is an error.
- A notification (a request without `id`) is ignored, and the KMS sends none.
- `epoch.create` and `epoch.fetch` are the only replies with a key in them. Nothing else holds one.

```
-> {{"jsonrpc":"2.0","id":1,"method":"epoch.fetch","params":{{"conference":"room","epoch":7}}}}
<- {{"jsonrpc":"2.0","id":1,"error":{{"code":2001,"message":"...","data":{{"refusal":"not_authorised"}}}}}}
```
"""
_ROOM: Final = {"conference": "room"}
_EXAMPLES: Final[dict[str, dict[str, Any]]] = {
    "kms.info": {},
    "conference.register": _ROOM | {"members": ["alice.example.net", "uid:1000"]},
    "conference.close": _ROOM,
    "member.admit": _ROOM | {"member": "bob.example.net"},
    "member.expel": _ROOM | {"member": "bob.example.net"},
    "epoch.create": _ROOM | {"epoch": 7, "suite": "AEAD_AES_128_GCM", "kind": "key"},
    "epoch.fetch": _ROOM | {"epoch": 7},
    "epoch.forget": _ROOM | {"epoch": 7},
    "mikey.exchange": {"message": "<base64 of a MIKEY message>"},
    "audit.tail": {"first": 1, "limit": 100},
}
_ALWAYS: Final = ("not_authorised", "rate_limited")
_REFUSALS: Final[dict[str, tuple[str, ...]]] = {
    "kms.info": _ALWAYS,
    "conference.register": (*_ALWAYS, "duplicate_conference", "limit"),
    "conference.close": _ALWAYS,
    "member.admit": (*_ALWAYS, "limit"),
    "member.expel": (*_ALWAYS, "unknown_member"),
    "epoch.create": (*_ALWAYS, "bad_epoch", "limit"),
    "epoch.fetch": _ALWAYS,
    "epoch.forget": (*_ALWAYS, "unknown_epoch"),
    "mikey.exchange": ("rate_limited", "not_offered", "bad_message"),
    "audit.tail": _ALWAYS,
}
_TEXTS: Final[dict[Refusal, str]] = {
    Refusal.NOT_AUTHORISED: "There is no such thing, or it is not the caller's to ask for. It is never said which.",
    Refusal.DUPLICATE_CONFERENCE: "The caller has registered that conference already.",
    Refusal.UNKNOWN_MEMBER: "The conference has no such member.",
    Refusal.UNKNOWN_EPOCH: "The key of that epoch is not kept: never made, superseded, expired, or forgotten.",
    Refusal.BAD_EPOCH: "Not above every epoch ever made in that conference and cohort, "
    "or made before with another suite or kind.",
    Refusal.BAD_MESSAGE: "Not base64, or not a MIKEY message that can be answered.",
    Refusal.RATE_LIMITED: "Too many requests; `error.data.retry_after_s` says when the next one will do.",
    Refusal.LIMIT: "Too many conferences, members or cohorts.",
    Refusal.NOT_OFFERED: "This KMS has no MIKEY-TICKET side.",
}
_MANUAL: Final = Manual(KMS, KmsSettings, _HEAD, _EXAMPLES, _REFUSALS, _TEXTS, REFUSAL_CODES)
schema_text, options, page = _MANUAL.schema_text, _MANUAL.options, _MANUAL.page
"""See `Manual`."""
