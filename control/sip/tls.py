"""TLS as SIP wants it (RFC 3261 section 26.3, RFC 5922): servers prove who they are, clients may."""

from __future__ import annotations

import ssl
from pathlib import Path

from control.listen import names
from control.sip.errors import SipError
from control.sip.settings import SipSettings


class TlsFilesUnfit(SipError):
    """A certificate or key cannot be loaded; the message names the files."""


def server_context(settings: SipSettings) -> ssl.SSLContext:
    """Shows our certificate; one that a client shows must be of our authority."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2  # of phones in the field
    if not settings.certificate or not settings.key:
        raise TlsFilesUnfit("TLS needs a certificate and a key: set both, or set tls_port to -1")
    _load(context, settings)
    if settings.authority:
        context.verify_mode = ssl.CERT_OPTIONAL
    return context


def client_context(settings: SipSettings) -> ssl.SSLContext:
    """Checks the server's certificate and its name; shows ours, if there is one."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if not settings.authority:
        context.load_default_certs()
    _load(context, settings)
    return context


def identities(connection: ssl.SSLObject | None) -> frozenset[str]:
    """The names in the peer's verified certificate."""
    certificate = connection.getpeercert() if connection is not None else None
    return frozenset(names(certificate)) if certificate else frozenset()


def _load(context: ssl.SSLContext, settings: SipSettings) -> None:
    try:
        if settings.certificate:
            context.load_cert_chain(Path(settings.certificate), Path(settings.key) if settings.key else None)
        if settings.authority:
            context.load_verify_locations(Path(settings.authority))
    except (OSError, ssl.SSLError) as error:
        files = ", ".join(filter(None, (settings.certificate, settings.key, settings.authority)))
        raise TlsFilesUnfit(f"cannot load the TLS files ({files}): {error}") from None
