"""Controllers on other machines: mutual TLS 1.3 or nothing."""

from __future__ import annotations

import asyncio
import datetime as dt
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from control import errors, listen
from control.__main__ import main
from control.client import ControlError, Disconnected, MixerClient
from control.server import ControlServer
from tests.control.fakes import FakeMixer


@dataclass
class Authority:
    """A certificate authority of the test's own."""

    directory: Path
    name: str

    def __post_init__(self) -> None:
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.certificate = self._sign(self.key.public_key(), self.name, ca=True)
        self.path = self.directory / f"{self.name}.pem"
        self.path.write_bytes(self.certificate.public_bytes(serialization.Encoding.PEM))

    def issue(self, name: str, *, trusts: Authority | None = None) -> listen.Identity:
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = self._sign(key.public_key(), name, ca=False)
        paths = self.directory / f"{self.name}-{name}.crt", self.directory / f"{self.name}-{name}.key"
        paths[0].write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        paths[1].write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )
        return listen.Identity(paths[0], paths[1], (trusts or self).path)

    def _sign(self, key: ec.EllipticCurvePublicKey, name: str, *, ca: bool) -> x509.Certificate:
        now = dt.datetime.now(dt.UTC)
        issuer = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, self.name)])
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        builder = (
            x509.CertificateBuilder()
            .subject_name(issuer if ca else subject)
            .issuer_name(issuer)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - dt.timedelta(days=1))
            .not_valid_after(now + dt.timedelta(days=1))
            .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key()), critical=False)
        )
        if ca:
            usage = x509.KeyUsage(
                digital_signature=True,
                content_commitment=False,
                key_encipherment=False,
                data_encipherment=False,
                key_agreement=False,
                key_cert_sign=True,
                crl_sign=True,
                encipher_only=False,
                decipher_only=False,
            )
            builder = builder.add_extension(usage, critical=True)
        else:
            builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        return builder.sign(self.key, hashes.SHA256())


@asynccontextmanager
async def serving(identity: listen.Identity, *names: str) -> AsyncIterator[str]:
    server = ControlServer(FakeMixer(), allowed_names=names)
    port = await server.listen_tls("127.0.0.1", 0, identity)
    try:
        yield f"tls://localhost:{port}"
    finally:
        await server.stop()


def client(address: str, identity: listen.Identity) -> MixerClient:
    return MixerClient(address, certificate=identity.certificate, key=identity.key, authority=identity.authority)


async def test_a_controller_of_our_authority_is_let_in(tmp_path: Path) -> None:
    ours = Authority(tmp_path, "ours")
    async with (
        serving(ours.issue("localhost")) as address,
        client(address, ours.issue("focus")) as mixer,
    ):
        assert (await mixer.node_info()).boot_id == "b00t"


async def test_people_come_in_the_same_way(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ours = Authority(tmp_path, "ours")
    mine = ours.issue("admin")
    async with serving(ours.issue("localhost")) as address:
        files = ["--tls-certificate", str(mine.certificate), "--tls-key", str(mine.key)]
        files += ["--tls-authority", str(mine.authority)]
        assert await asyncio.to_thread(main, ["ctl", "--socket", address, *files, "node", "info"]) == 0
        assert "b00t" in capsys.readouterr().out
        assert await asyncio.to_thread(main, ["top", "--once", "--socket", address, *files]) == 0


async def test_without_a_certificate_nobody_comes_in(tmp_path: Path) -> None:
    ours = Authority(tmp_path, "ours")
    async with serving(ours.issue("localhost")) as address:
        with pytest.raises(Disconnected, match="needs a certificate"):
            await MixerClient(address).connect()
        bare = ssl.create_default_context(cafile=str(ours.path))
        assert await _first_octet(address, bare) == b""


async def test_a_stranger_s_certificate_is_refused(tmp_path: Path) -> None:
    ours, theirs = Authority(tmp_path, "ours"), Authority(tmp_path, "theirs")
    async with serving(ours.issue("localhost")) as address:
        stranger = client(address, theirs.issue("focus", trusts=ours))
        with pytest.raises(Disconnected):
            async with stranger as mixer:
                await mixer.node_info()


async def test_a_false_mixer_is_not_trusted(tmp_path: Path) -> None:
    ours, theirs = Authority(tmp_path, "ours"), Authority(tmp_path, "theirs")
    async with serving(theirs.issue("localhost", trusts=ours)) as address:
        with pytest.raises(Disconnected, match="no mixer answers"):
            await client(address, ours.issue("focus")).connect()


async def test_only_listed_names_are_let_in(tmp_path: Path) -> None:
    ours = Authority(tmp_path, "ours")
    async with serving(ours.issue("localhost"), "focus") as address:
        async with client(address, ours.issue("focus")) as mixer:
            await mixer.node_info()
        async with client(address, ours.issue("printer")) as mixer:
            with pytest.raises(ControlError) as refused:
                await mixer.node_info()
        assert refused.value.code == errors.FORBIDDEN


async def test_older_tls_is_refused(tmp_path: Path) -> None:
    ours = Authority(tmp_path, "ours")
    async with serving(ours.issue("localhost")) as address:
        old = listen.client_tls(ours.issue("focus"))
        old.minimum_version = ssl.TLSVersion.TLSv1_2
        old.maximum_version = ssl.TLSVersion.TLSv1_2
        with pytest.raises((ssl.SSLError, ConnectionError)):
            await _first_octet(address, old)


async def test_missing_files_are_named(tmp_path: Path) -> None:
    nothing = listen.Identity(tmp_path / "a", tmp_path / "b", tmp_path / "c")
    with pytest.raises(listen.ListenError, match="cannot load the TLS files"):
        await ControlServer(FakeMixer()).listen_tls("127.0.0.1", 0, nothing)


async def _first_octet(address: str, context: ssl.SSLContext) -> bytes:
    """What a server says to a plain TLS client; b"" if it hangs up."""
    port = int(address.rpartition(":")[2])
    reader, writer = await asyncio.open_connection("localhost", port, ssl=context)
    try:
        async with asyncio.timeout(10):
            writer.write(b'{"jsonrpc":"2.0","id":1,"method":"node.info"}\n')
            return await reader.read(1)
    except (ssl.SSLError, ConnectionError):
        return b""
    finally:
        writer.transport.abort()
