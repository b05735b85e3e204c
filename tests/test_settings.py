"""Settings come from the environment and secret files, and say what is wrong without showing a secret."""

from __future__ import annotations

from pathlib import Path

import pytest

from crmsync.errors import ConfigError
from crmsync.settings import load_settings, variable_names

TOKEN = "00D000000000001!canary-token"


def test_a_nested_setting_is_spelled_with_two_underscores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CRMSYNC_SALESFORCE__INSTANCE_URL", "https://acme.my.salesforce.com")
    monkeypatch.setenv("CRMSYNC_SALESFORCE__ALLOWED_HOSTS", "gateway.example, proxy.example")
    found = load_settings().salesforce
    assert found.instance_url == "https://acme.my.salesforce.com"
    assert found.allowed_hosts == ("gateway.example", "proxy.example")


def test_a_secret_may_come_from_a_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "token").write_text(f"{TOKEN}\n", encoding="utf-8")
    monkeypatch.setenv("CRMSYNC_SALESFORCE__ACCESS_TOKEN_FILE", str(tmp_path / "token"))
    settings = load_settings()
    assert settings.secrets() == {TOKEN}
    assert TOKEN not in repr(settings)


def test_the_token_of_spark_is_a_secret_too(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "token").write_text(TOKEN, encoding="utf-8")
    monkeypatch.setenv("CRMSYNC_SPARK_TOKEN_FILE", str(tmp_path / "token"))
    settings = load_settings()
    assert settings.secrets() == {TOKEN}
    assert TOKEN not in repr(settings)
    monkeypatch.setenv("CRMSYNC_SPARK_TOKEN_FILE", "/nowhere/token")
    with pytest.raises(ConfigError, match="CRMSYNC_SPARK_TOKEN_FILE: /nowhere/token: the secret file cannot be read"):
        load_settings()


def test_the_password_in_the_ledgers_address_is_a_secret_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    address = "postgresql://crmsync:p%40ss-canary@db.example/ledger"
    monkeypatch.setenv("CRMSYNC_LEDGER_URL", address)
    settings = load_settings()
    assert settings.secrets() == {address, "p%40ss-canary", "p@ss-canary"}
    assert "canary" not in repr(settings)


@pytest.mark.parametrize(
    ("variable", "address"),
    [
        ("LEDGER_URL", "postgresql://crmsync@db.example/ledger?password=canary-pw"),
        ("LEDGER_URL", "postgresql://crmsync:canary-pw@[::1/ledger"),
        ("NOTICES__OPERATOR", "tgram://123456789:canary-of-the-bot/1234"),
        ("NOTICES__OPERATOR", "pover://user@canary-of-the-user"),
        ("NOTICES__OPERATOR", "discord://4174/canary-of-the-hook"),
        ("NOTICES__OPERATOR", "json://hook.example/x?+X-Token=canary"),
        ("NOTICES__SALES_OPS", "https://hook.example/x?sig=canary-of-the-hook&to=somebody@example.com"),
        ("NOTICES__SALES_OPS", "slack://[canary-of-slack-1"),
    ],
)
def test_what_opens_an_address_is_a_secret_by_itself(
    monkeypatch: pytest.MonkeyPatch, variable: str, address: str
) -> None:
    monkeypatch.setenv(f"CRMSYNC_{variable}", address)
    told = address.partition("://")[2]
    for secret in load_settings().secrets():
        told = told.replace(secret, "")
    assert "canary" not in told


def test_the_host_in_an_address_is_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CRMSYNC_NOTICES__MAIL", "mailtos://partners:canary@smtp.mail.example.com?from=team@example.com")
    assert load_settings().secrets() == {
        "mailtos://partners:canary@smtp.mail.example.com?from=team@example.com",
        "canary",
    }


def test_a_misspelt_variable_is_refused_in_any_case(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("crmsync_log_levl", "debug")
    with pytest.raises(ConfigError, match="did you mean CRMSYNC_LOG_LEVEL"):
        load_settings()
    monkeypatch.delenv("crmsync_log_levl")
    monkeypatch.setenv("crmsync_log_level", "debug")
    assert load_settings().log_level == "debug"


def test_a_misspelt_variable_is_refused_with_the_nearest_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CRMSYNC_SALESFORCE__ACESS_TOKEN", TOKEN)
    with pytest.raises(ConfigError, match="CRMSYNC_SALESFORCE__ACCESS_TOKEN") as caught:
        load_settings()
    assert TOKEN not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        (
            "CRMSYNC_SALESFORCE__TIMEOUT_S",
            "soon",
            "CRMSYNC_SALESFORCE__TIMEOUT_S: `soon` is not possible: Input should be a valid",
        ),
        ("CRMSYNC_SALESFORCE__TIMEOUT_S", "0", "greater than 0"),
        ("CRMSYNC_SALESFORCE__API_VERSION", "v67", "`v67` is not possible: write it like 67.0"),
        ("CRMSYNC_LISTEN", "9464", "`9464` is not possible: write HOST:PORT, such as 127.0.0.1:9464, or `off`"),
        ("CRMSYNC_LOG_LEVEL", "loud", "'debug', 'info', 'warning' or 'error'"),
        (
            "CRMSYNC_SALESFORCE__ACCESS_TOKEN_FILE",
            "/nowhere/token",
            "variable CRMSYNC_SALESFORCE__ACCESS_TOKEN_FILE: /nowhere/token: the secret file cannot be read",
        ),
    ],
)
def test_a_wrong_value_names_the_variable(monkeypatch: pytest.MonkeyPatch, name: str, value: str, told: str) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(ConfigError) as caught:
        load_settings()
    assert told in str(caught.value)


def test_a_secret_given_twice_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "token").write_text(TOKEN, encoding="utf-8")
    monkeypatch.setenv("CRMSYNC_SALESFORCE__ACCESS_TOKEN_FILE", str(tmp_path / "token"))
    monkeypatch.setenv("CRMSYNC_SALESFORCE__ACCESS_TOKEN", TOKEN)
    with pytest.raises(ConfigError, match="given twice") as caught:
        load_settings()
    assert TOKEN not in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"\xff\xfe", b"x" * 70_000])
def test_a_file_that_is_no_secret_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, content: bytes) -> None:
    (tmp_path / "token").write_bytes(content)
    monkeypatch.setenv("CRMSYNC_SALESFORCE__CLIENT_SECRET_FILE", str(tmp_path / "token"))
    with pytest.raises(ConfigError, match=r"secret file|token"):
        load_settings()


def test_config_option_goes_before_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CRMSYNC_CONFIG_DIR", "elsewhere")
    assert load_settings(Path("here")).config_dir == Path("here")
    assert load_settings().config_dir == Path("elsewhere")


def test_every_variable_has_the_prefix() -> None:
    assert all(name.startswith("CRMSYNC_") for name in variable_names())
