"""`mrfp`: serve, kms, focus, ctl, top, kek, schema. What a word needs is imported when it is said."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import mixer


def main(arguments: Sequence[str] | None = None) -> int:
    """The entry point; returns the exit status."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    if words[:1] == ["ctl"]:
        from control import ctl

        return ctl.main(words[1:])
    options = _parser().parse_args(words)
    status: int = options.run(options)
    return status


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="mrfp", description="A secure conference mixer for SRTP.")
    parser.add_argument("--version", action="version", version=f"mrfp {mixer.__version__}")
    words = parser.add_subparsers(required=True, metavar="COMMAND")
    _add_serve(words.add_parser("serve", help="run a mixer", description="Run a mixer until SIGTERM."))
    _add_kms(words.add_parser("kms", help="run a key management server", description="Run a KMS until SIGTERM."))
    _add_focus(words.add_parser("focus", help="run a conference focus", description="Take SIP calls until SIGTERM."))
    # Only for the help: `ctl` has a parser of its own.
    words.add_parser("ctl", help="tell a running mixer or focus what to do", add_help=False)
    _add_top(words.add_parser("top", help="watch a running mixer", description="A live view of a mixer."))
    about = "Make a key-encryption key in a file, for `[control] kek_file` and `mrfp ctl --kek-file`."
    kek = words.add_parser("kek", help="make a key-encryption key", description=about)
    kek.add_argument("file", type=Path, metavar="FILE", help="made with mode 0600 if it is not there")
    kek.add_argument("name", metavar="NAME", help="letters, digits and ._-")
    kek.set_defaults(run=_kek)
    _add_schema(words.add_parser("schema", help="print the JSON Schema of the control protocol"))
    return parser


def _add_serve(serve: argparse.ArgumentParser) -> None:
    _add_config(serve)
    serve.add_argument("--socket", metavar="PATH", help="control socket")
    serve.add_argument("--host", help="IPv4 address of the media port")
    serve.add_argument("--port", type=int, help="media port (UDP), even; 0 for any")
    serve.add_argument("--http-port", type=int, metavar="PORT", help="/metrics and /healthz on loopback")
    serve.set_defaults(run=_serve)


def _add_kms(kms: argparse.ArgumentParser) -> None:
    _add_config(kms)
    kms.add_argument("--socket", metavar="PATH", help="Unix socket")
    kms.add_argument("--tls-port", type=int, metavar="PORT", help="port for mutual TLS; needs files in --config")
    kms.add_argument("--directory", metavar="PATH", help="where the audit and the highest epochs are kept")
    kms.add_argument("--verify", type=Path, metavar="FILE", help="check the chain of an audit file and leave")
    kms.set_defaults(run=_kms)


def _add_focus(focus: argparse.ArgumentParser) -> None:
    _add_config(focus)
    focus.add_argument("--socket", metavar="PATH", help="Unix socket for `mrfp ctl call` and its like")
    focus.add_argument("--host", help="address to take calls at")
    focus.add_argument("--udp-port", type=int, metavar="PORT", help="SIP over UDP")
    focus.add_argument("--tcp-port", type=int, metavar="PORT", help="SIP over TCP")
    focus.add_argument("--tls-port", type=int, metavar="PORT", help="SIP over TLS; needs files in --config")
    focus.add_argument("--mixer", metavar="ADDRESS", help="control socket of the mixer")
    focus.add_argument("--media-host", metavar="ADDRESS", help="where phones are told to send media")
    focus.add_argument("--kms", metavar="ADDRESS", help="socket of the KMS; without one there are no group keys")
    focus.add_argument("--http-port", type=int, metavar="PORT", help="/metrics and /healthz on loopback")
    focus.set_defaults(run=_focus)


def _add_top(top: argparse.ArgumentParser) -> None:
    top.add_argument("--socket", metavar="ADDRESS", help="control socket, or tls://host:port")
    for name in ("certificate", "key", "authority"):
        top.add_argument(f"--tls-{name}", type=Path, metavar="PEM", help="for tls://")
    top.add_argument("--interval", type=float, default=1.0, metavar="SECONDS", help="between looks")
    top.add_argument("--once", action="store_true", help="print once and leave")
    top.set_defaults(run=_top)


def _add_schema(schema: argparse.ArgumentParser) -> None:
    schema.add_argument("--kms", action="store_true", help="of the KMS instead of the mixer, all of it")
    schema.add_argument("--focus", action="store_true", help="of the focus instead of the mixer, all of it")
    schema.add_argument("--markdown", action="store_true", help="print the reference page instead")
    schema.add_argument("--options", action="store_true", help="print the options of the TOML file instead")
    schema.set_defaults(run=_schema)


def _add_config(daemon: argparse.ArgumentParser) -> None:
    """What every daemon can be told."""
    daemon.add_argument("--config", type=Path, metavar="FILE", help="TOML file; all defaults without one")
    daemon.add_argument("--log-level", choices=["debug", "info", "warning", "error"])
    daemon.add_argument("--log-format", choices=["json", "console"])


def _serve(options: argparse.Namespace) -> int:
    from control import daemon, settings
    from control.http import HttpError
    from control.keyfiles import KeyFileError
    from control.listen import ListenError

    try:
        chosen = settings.load(
            options.config,
            mixer={"host": options.host, "port": options.port},
            control={"socket": options.socket},
            http={"port": options.http_port},
            log={"level": options.log_level, "format": options.log_format},
        )
        return daemon.serve(chosen)
    except (settings.SettingsError, KeyFileError, ListenError, HttpError, OSError) as error:
        print(f"mrfp serve: {error}", file=sys.stderr)
        return 1


def _kms(options: argparse.Namespace) -> int:
    from control.kms import audit, daemon, settings, tickets
    from control.kms.lines import LineFileError
    from control.listen import ListenError

    try:
        if options.verify:
            with options.verify.open("rb") as lines:
                count, head = audit.verify(lines)
            print(f"{count} lines, each following on the one before; the last has SHA-256 {head}")
            return 0
        chosen = settings.load(
            options.config,
            listen={"socket": options.socket, "tls_port": options.tls_port},
            state={"directory": options.directory},
            log={"level": options.log_level, "format": options.log_format},
        )
        return daemon.serve(chosen, tickets.authority)
    except (settings.SettingsError, audit.AuditError, LineFileError, ListenError, OSError) as error:
        print(f"mrfp kms: {error}", file=sys.stderr)
        return 1


def _focus(options: argparse.Namespace) -> int:
    from control.client import ControlError
    from control.focus import daemon, settings
    from control.keyfiles import KeyFileError
    from control.listen import ListenError
    from control.sip.errors import SipError

    try:
        chosen = settings.load(
            options.config,
            sip={name: getattr(options, name) for name in ("host", "udp_port", "tcp_port", "tls_port")},
            mixer={"address": options.mixer, "media_host": options.media_host},
            keys={"kms": options.kms},
            control={"socket": options.socket},
            http={"port": options.http_port},
            log={"level": options.log_level, "format": options.log_format},
        )
        return daemon.serve(chosen)
    except (settings.SettingsError, ControlError, KeyFileError, ListenError, SipError, OSError) as error:
        print(f"mrfp focus: {error}", file=sys.stderr)
        return 1


def _top(options: argparse.Namespace) -> int:
    from control import top

    return top.main(options)


def _kek(options: argparse.Namespace) -> int:
    from control import kekfile
    from control.keyfiles import KeyFileError

    try:
        kekfile.add(options.file, options.name)
    except KeyFileError as error:
        print(f"mrfp kek: {error}", file=sys.stderr)
        return 1
    print(f"added {options.name} to {options.file}; mixer and controller both need that line")
    return 0


def _schema(options: argparse.Namespace) -> int:
    from control import reference
    from control.focus import reference as focus
    from control.kms import reference as kms

    source = kms if options.kms else focus if options.focus else reference
    chosen = source.options if options.options else source.schema_text
    sys.stdout.write((source.page if options.markdown else chosen)())
    return 0


if __name__ == "__main__":
    sys.exit(main())
