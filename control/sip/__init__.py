"""A SIP user agent (RFC 3261). It knows messages, transactions and dialogs; nothing of conferences, SDP or mixers."""
