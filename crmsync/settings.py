"""Where, who and limits, out of the environment and secret files; nothing about programs.

Every setting is an environment variable `CRMSYNC_…`; a nested one is spelled with two underscores
(`CRMSYNC_SALESFORCE__INSTANCE_URL`). Every secret also has a `…_FILE` form that names a file holding it.
What a run reads, by which program, and where it writes, stands in `crmsync.yaml` (configuration.py).
"""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import unquote

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_core import ErrorDetails
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from crmsync.errors import ConfigError
from crmsync.failpoints import ENVIRONMENT as FAILPOINT

PREFIX = "CRMSYNC_"
NESTED = "__"
SECRET_FILE_LIMIT = 64 * 1024  # bytes; a key or a token is far below, a wrong path often above


def _filled(values: Any, names: Iterable[str]) -> Any:
    """Fill each secret that is given as a file; giving both forms is a contradiction."""
    if not isinstance(values, dict):
        return values
    filled = dict(values)
    for name in names:
        path = filled.get(f"{name}_file")
        if path in (None, ""):
            continue
        if filled.get(name):
            raise ValueError(f"{name.upper()} is given twice: as itself and as {name.upper()}_FILE")
        try:
            filled[name] = _read_secret(Path(str(path)))
        except ValueError as error:
            raise ValueError(f"{name.upper()}_FILE: {error}") from None
    return filled


class SalesforceSettings(BaseModel):
    """How to reach and log in to one Salesforce org. Which login is used follows from what is given."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    instance_url: str | None = None
    login_url: str | None = None
    username: str | None = None
    client_id: str | None = None
    jwt_key_file: Path | None = None
    access_token: SecretStr | None = None
    access_token_file: Path | None = None
    client_secret: SecretStr | None = None
    client_secret_file: Path | None = None
    refresh_token: SecretStr | None = None
    refresh_token_file: Path | None = None
    api_version: Annotated[str, Field(pattern=r"^\d{2,3}\.0$")] = "67.0"
    allowed_hosts: Annotated[tuple[str, ...], NoDecode] = ()
    timeout_s: Annotated[float, Field(gt=0, le=3600)] = 120.0
    connect_timeout_s: Annotated[float, Field(gt=0, le=600)] = 10.0

    @field_validator("allowed_hosts", mode="before")
    @classmethod
    def _hosts(cls, value: object) -> object:
        """Take `a.example, b.example` as two host name endings."""
        return tuple(host.strip() for host in value.split(",") if host.strip()) if isinstance(value, str) else value

    @model_validator(mode="before")
    @classmethod
    def _secrets_from_files(cls, values: Any) -> Any:
        return _filled(values, SECRET_NAMES)

    def read_again(self) -> SalesforceSettings:
        """The same with what the secret files hold now; they may have been rotated. Errors: ConfigError."""
        files = {name: getattr(self, f"{name}_file") for name in SECRET_NAMES}
        try:
            found = {name: SecretStr(_read_secret(path)) for name, path in files.items() if path is not None}
        except ValueError as error:
            raise ConfigError(f"a secret is read again, since the org has refused it: {error}") from None
        return self.model_copy(update=found)


SECRET_NAMES = ("access_token", "client_secret", "refresh_token")


class NoticeSettings(BaseModel):
    """Where notices go, as apprise writes it: addresses hold tokens and passwords, so each is a secret.

    `mail`: the server through which partners and owners get mail (`mailtos://user:password@host?from=...`);
    `sales_ops`, `operator`: where these two are told, one or several parted by white space.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    mail: SecretStr | None = None
    mail_file: Path | None = None
    sales_ops: SecretStr | None = None
    sales_ops_file: Path | None = None
    operator: SecretStr | None = None
    operator_file: Path | None = None
    timeout_s: Annotated[float, Field(gt=0, le=600)] = 20.0

    @model_validator(mode="before")
    @classmethod
    def _secrets_from_files(cls, values: Any) -> Any:
        return _filled(values, NOTICE_SECRETS)


NOTICE_SECRETS = ("mail", "sales_ops", "operator")
SECRETS = frozenset({*SECRET_NAMES, *NOTICE_SECRETS, "spark_token", "ledger_url"})
"""Settings whose value is never shown."""


class Settings(BaseSettings):
    """The settings of one process. `config_dir` None: `./config`, else the copy that comes with the package."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, env_nested_delimiter=NESTED, extra="ignore", frozen=True, env_ignore_empty=True
    )

    config_dir: Path | None = None
    state_dir: Path = Path(".crmsync")
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    spark_remote: str = "sc://127.0.0.1:15002"
    spark_scratch: Path | None = None
    spark_token: SecretStr | None = None
    spark_token_file: Path | None = None
    listen: Annotated[str, Field(pattern=r"^(off|.+:\d{1,5})$")] = "127.0.0.1:9464"  # of a worker: health and metrics
    metrics_file: Path | None = None  # written at the end of each run, for the textfile collector
    ledger_url: SecretStr | None = None
    ledger_url_file: Path | None = None
    salesforce: SalesforceSettings = SalesforceSettings()
    notices: NoticeSettings = NoticeSettings()

    @model_validator(mode="before")
    @classmethod
    def _secrets_from_files(cls, values: Any) -> Any:
        return _filled(values, ("spark_token", "ledger_url"))

    @property
    def ledger_address(self) -> str | None:
        """Where the ledger is kept instead of a file in the state folder, password and all."""
        return self.ledger_url.get_secret_value() if self.ledger_url else None

    def secrets(self) -> frozenset[str]:
        """Every loaded secret in clear, for redaction by value; of the ledger's address the password alone, too."""
        ledger = _opening(self.ledger_address) if self.ledger_address else ()
        return frozenset({*secrets_of(self), *ledger, *_secret_parts(self.notices)})


def load_settings(config_dir: Path | None = None, environ: Mapping[str, str] | None = None) -> Settings:
    """The settings of this process; `config_dir` (from `--config`) goes before the environment.

    Errors: ConfigError naming the variable and what would be right; never a value of a secret.
    """
    _refuse_unknown(os.environ if environ is None else environ)
    given = {} if config_dir is None else {"config_dir": config_dir}
    try:
        return Settings(**given)  # type: ignore[arg-type]
    except ValidationError as error:
        raise ConfigError("; ".join(_complaints(error))) from None


def _complaints(error: ValidationError) -> Iterator[str]:
    for fault in error.errors(include_url=False, include_context=False):
        name = PREFIX + NESTED.join(str(part) for part in fault["loc"]).upper()
        if fault["type"] == "value_error":  # of _filled, which begins with the rest of the name
            begin = f"{name}{NESTED}" if fault["loc"] else name
            yield f"environment variable {begin}{fault['msg'].removeprefix('Value error, ')}"
        else:
            right = FORMS.get(str(fault["loc"][-1]), fault["msg"])
            yield f"environment variable {name}: {_given(fault)}{right}"


def _given(fault: ErrorDetails) -> str:
    """The value that is wrong, where it can be no secret."""
    name, value = str(fault["loc"][-1]), fault["input"]
    return "" if name in SECRETS or not isinstance(value, str) else f"`{value[:100]}` is not possible: "


FORMS = {
    "api_version": "write it like 67.0",
    "listen": "write HOST:PORT, such as 127.0.0.1:9464, or `off`",
}


def _refuse_unknown(environ: Mapping[str, str]) -> None:
    """A misspelt variable would be ignored silently, and the run would use another login than its owner thinks."""
    known = {*variable_names(), FAILPOINT}
    for given in environ:
        name = given.upper()  # as pydantic takes them
        if name.startswith(PREFIX) and name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f"; did you mean {near[0]}?" if near else ""
            raise ConfigError(f"environment variable {name} is not a setting of crmsync{hint}")


def variable_names() -> Iterator[str]:
    """Every environment variable that is read, in the order of this file."""
    for name, entry in Settings.model_fields.items():
        if entry.annotation in (SalesforceSettings, NoticeSettings):
            yield from (f"{PREFIX}{name}{NESTED}{inner}".upper() for inner in entry.annotation.model_fields)
        else:
            yield f"{PREFIX}{name}".upper()


def exposed_files(settings: Settings) -> Iterator[tuple[str, Path]]:
    """(variable, path) of every secret file that others on this machine may read."""
    of_salesforce = {
        f"{PREFIX}SALESFORCE{NESTED}{name.upper()}": getattr(settings.salesforce, name)
        for name in ("jwt_key_file", *(f"{secret}_file" for secret in SECRET_NAMES))
    }
    of_notices = {
        f"{PREFIX}NOTICES{NESTED}{name.upper()}_FILE": getattr(settings.notices, f"{name}_file")
        for name in NOTICE_SECRETS
    }
    others = {f"{PREFIX}{name.upper()}": getattr(settings, name) for name in ("spark_token_file", "ledger_url_file")}
    for variable, path in {**of_salesforce, **of_notices, **others}.items():
        try:
            if path is not None and path.stat().st_mode & 0o077:
                yield variable, path
        except OSError:
            continue  # whoever reads it says so


TOKEN_LENGTH = 16  # parts of a path below are words such as `alerts`
OPENS = re.compile("pass|pw|secret|token|key", re.IGNORECASE)


def _secret_parts(notices: NoticeSettings) -> Iterator[str]:
    """Each address of a channel by itself, and what in it opens the channel: passwords, and long parts of paths."""
    for name in NOTICE_SECRETS:
        secret = getattr(notices, name)
        for address in secret.get_secret_value().split() if secret else ():
            yield address
            yield from _opening(address)


def _opening(address: str) -> Iterator[str]:
    """What in an address opens what it leads to: its password, and long parts of it that are no name of a host.

    Not by urlsplit: an address may be none, and the tokens of some channels stand where others have host and port.
    """
    place_of, _, query = address.partition("://")[2].partition("?")
    authority, _, path = place_of.partition("/")
    login, at, place = authority.rpartition("@")
    found = [login.partition(":")[2]] if at else []
    found += [part for part in re.split("[:@]", f"{login}:{place}") if len(part) >= TOKEN_LENGTH and "." not in part]
    found += [part for part in path.split("/") if len(part) >= TOKEN_LENGTH]
    for name, _, value in (each.partition("=") for each in re.split("[&;]", query)):
        if OPENS.search(name) or (len(value) >= TOKEN_LENGTH and "%40" not in value and "@" not in value):
            found.append(value)
    yield from (each for part in found if part for each in (part, unquote(part)))


def secrets_of(model: BaseModel) -> Iterable[str]:
    """Every secret in these settings, in clear, for redaction by value."""
    for name in type(model).model_fields:
        value = getattr(model, name)
        if isinstance(value, BaseModel):
            yield from secrets_of(value)
        elif isinstance(value, SecretStr) and value.get_secret_value():
            yield value.get_secret_value()


def _read_secret(path: Path) -> str:
    try:
        with path.open("rb") as stream:
            content = stream.read(SECRET_FILE_LIMIT + 1)
    except OSError as error:
        raise ValueError(f"{path}: the secret file cannot be read: {error.strerror}") from None
    if len(content) > SECRET_FILE_LIMIT:
        raise ValueError(f"{path}: larger than {SECRET_FILE_LIMIT} bytes; a secret file holds one token")
    try:
        text = content.decode("utf-8").strip()
    except UnicodeDecodeError:
        raise ValueError(f"{path}: not UTF-8 text; a secret file holds one token") from None
    if not text:
        raise ValueError(f"{path}: the secret file is empty")
    return text
