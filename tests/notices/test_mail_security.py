"""A mail server that wants TLS and a login, with a certificate of its own: what is trusted and told, and what not."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.smtp import AuthResult, LoginPassword
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from crmsync.ledger.ledger import Ledger
from crmsync.notices import outbox as o
from crmsync.notices.sending import Sent, send_due
from crmsync.notices.templates import Templates
from tests.notices.facts import NOW, a_notice, sending
from tests.notices.servers import Mailbox, Post

USER, PASSWORD = "postman", "canary-pass-9134"


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Key and certificate of 127.0.0.1, signed by themselves."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    plain = serialization.NoEncryption()
    private = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain)
    path = tmp_path_factory.mktemp("tls") / "server.pem"
    path.write_bytes(private + made.public_bytes(serialization.Encoding.PEM))
    return path


def checked(_server: Any, _session: Any, _envelope: Any, _mechanism: str, data: Any) -> AuthResult:
    """The one login that is right."""
    right = isinstance(data, LoginPassword) and (data.login, data.password) == (USER.encode(), PASSWORD.encode())
    return AuthResult(success=right, handled=False)


@pytest.fixture
def strict(certificate: Path) -> Iterator[Mailbox]:
    """A server that takes nothing before STARTTLS and a login."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate)
    asked = {"tls_context": context, "require_starttls": True, "auth_required": True, "authenticator": checked}
    with Post(**asked) as opened:
        yield opened


def sent(ledger: Ledger, templates: Templates, server: Mailbox, password: str = PASSWORD, more: str = "") -> Sent:
    url = f"mailtos://{USER}:{password}@127.0.0.1:{server.port}?from=a@vendor.example{more}"
    return send_due(sending(ledger, templates, mail=url), NOW)


@pytest.fixture
def waiting(ledger: Ledger) -> Ledger:
    o.add_notices(ledger, [a_notice(), a_notice("second@x.example")])
    return ledger


def test_mail_leaves_over_tls_after_a_login(
    waiting: Ledger, templates: Templates, strict: Mailbox, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    assert sent(waiting, templates, strict).sent == 2
    assert len(strict.mails) == 2


def test_a_login_that_is_refused_costs_no_notice_and_tells_no_password(
    waiting: Ledger, templates: Templates, strict: Mailbox, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    ended = sent(waiting, templates, strict, password="canary-wrong-77")
    assert (ended.not_sent, ended.later, o.count_states(waiting)) == (1, 1, {"waiting": 2})
    (said,) = [one.error for one in o.notices_in(waiting) if one.error]
    assert "the mail server cannot be used" in said
    assert "canary" not in said
    assert sent(waiting, templates, strict).sent == 2


def test_a_certificate_that_nobody_vouches_for_gets_no_password(
    waiting: Ledger, templates: Templates, strict: Mailbox
) -> None:
    ended = sent(waiting, templates, strict)
    assert (ended.not_sent, strict.mails) == (1, [])
    (said,) = [one.error for one in o.notices_in(waiting) if one.error]
    assert "certificate verify failed" in said


def test_a_server_without_tls_gets_no_password_where_tls_was_asked_for(waiting: Ledger, templates: Templates) -> None:
    with Post() as plain:
        assert (sent(waiting, templates, plain).not_sent, plain.mails) == (1, [])
    (said,) = [one.error for one in o.notices_in(waiting) if one.error]
    assert "STARTTLS" in said


def test_mail_leaves_over_tls_from_the_first_byte(
    waiting: Ledger, templates: Templates, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate)
    with Post(ssl_context=context, auth_require_tls=False, authenticator=checked) as opened:
        assert sent(waiting, templates, opened, more="&mode=ssl").sent == 2
