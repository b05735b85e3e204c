"""Setting up: a configuration to start from, written from answers or flags. Never overwrites; never holds a secret."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from crmsync.belt import FIELD_MAP, FILES_MAP
from crmsync.configuration import CONNECTORS, FILE, ORGS, packaged_folder
from crmsync.connectors.mapping import read_mapping
from crmsync.connectors.salesforce.session import Hosts
from crmsync.discovering import Discovery, read_and_propose, shipped_map
from crmsync.errors import AccessError, ConfigError, Retriable, StoreError
from crmsync.logs import configure_logs
from crmsync.settings import Settings, exposed_files, load_settings
from crmsync.strict_yaml import nearest
from crmsync.studies.template_parts import categories_of, with_categories
from crmsync.studies.templates import Template, templates
from crmsync.tables import CANONICAL

Ask = Callable[[str], str]
"""Asks one question and gives the answer as it was typed."""

LOGINS = ("client_credentials", "jwt")
ENVIRONMENT = Path("crmsync.env.example")
TEMPLATE, DATA = "reseller", "data"
_PREFIX = "CRMSYNC_SALESFORCE__"
_NAMES: Mapping[str, tuple[str, ...]] = {
    "client_credentials": ("CLIENT_ID", "CLIENT_SECRET_FILE"),
    "jwt": ("CLIENT_ID", "USERNAME", "JWT_KEY_FILE"),
}
_SAID = {
    "CLIENT_ID": "consumer key of the External Client App",
    "CLIENT_SECRET_FILE": "a file with its consumer secret, which only you may read (chmod 600)",
    "USERNAME": "user name of the integration user",
    "JWT_KEY_FILE": "the private key (PEM), which only you may read (chmod 600)",
}


@dataclass(frozen=True)
class Answers:
    """What `init` needs to know. `tables`: table -> `salesforce`, `files` or `files:FOLDER`, where it is not the org's;
    `categories`: of the template, empty for all."""

    org: str = "salesforce"
    template: str = TEMPLATE
    login: str = LOGINS[0]
    instance_url: str = ""
    time_zone: str = "UTC"
    categories: tuple[str, ...] = ()
    tables: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class SetUp:
    """What was written. `discovery`: None where the org was not asked; `unanswered`: why; `exposed`: secret files that
    others may read."""

    folder: Path
    answers: Answers
    written: tuple[Path, ...]
    discovery: Discovery | None = None
    unanswered: str = ""
    exposed: tuple[tuple[str, Path], ...] = ()


def interview(ask: Ask, given: Answers) -> Answers:
    """Ask for everything, with what is given as what an empty answer means. Errors: ConfigError when input ends."""
    known = templates()
    org = _choice(ask, "Which org (sandbox: an embedded one to try on)", ORGS, given.org)
    answers = replace(given, org=org)
    if org == "salesforce":
        login = _choice(ask, "How crmsync logs in", LOGINS, given.login)
        url = _typed(ask, "Address of the org, https://….my.salesforce.com (may stay empty)", given.instance_url)
        answers = replace(answers, login=login, instance_url=url)
    for one in known.values():
        _tell(ask, f"  {one.name:<24}{one.means}")
    answers = replace(answers, template=_choice(ask, "Which program to start from", tuple(known), given.template))
    answers = replace(answers, categories=_categories(ask, known[answers.template]))
    answers = replace(answers, time_zone=_zone(_typed(ask, "Time zone, such as Europe/Berlin", given.time_zone)))
    return replace(answers, tables=_sources(ask, answers))


def _tell(ask: Ask, line: str) -> None:
    getattr(ask, "tell", lambda _: None)(line)


def _typed(ask: Ask, question: str, default: str) -> str:
    try:
        typed = ask(f"{question} [{default}]: " if default else f"{question}: ").strip()
    except EOFError:
        raise ConfigError("the answers ended before all was asked; nothing was written") from None
    return typed or default


def _choice(ask: Ask, question: str, known: Sequence[str], default: str) -> str:
    while True:
        typed = _typed(ask, f"{question}: {', '.join(known)}", default)
        if typed in known:
            return typed
        _tell(ask, f"`{typed}` is none of them{nearest(typed, known)}")


def _categories(ask: Ask, template: Template) -> tuple[str, ...]:
    known = tuple(categories_of(_program_text(template)))
    if not known:
        return ()
    while True:
        typed = _typed(ask, f"Which categories, with commas between: {', '.join(known)}", "all")
        chosen = known if typed == "all" else tuple(one.strip() for one in typed.split(",") if one.strip())
        wrong = [one for one in chosen if one not in known]
        if not wrong:
            return chosen
        _tell(ask, f"`{wrong[0]}` is none of them{nearest(wrong[0], known)}")


def _sources(ask: Ask, answers: Answers) -> Mapping[str, str]:
    if answers.org == "files":
        return {}
    found = {}
    for table in ("certifications", "activities"):
        typed = _choice(
            ask, f"Where {table} come from", (*CONNECTORS, "nowhere"), answers.tables.get(table, "salesforce")
        )
        if typed != "salesforce":
            found[table] = f"files:{table}" if typed == "files" else typed
    return found


# --- writing


def set_up(answers: Answers, to: Path) -> SetUp:
    """Write the configuration.

    Errors: ConfigError for an answer that is none, or a file that is there; AccessError for an address to which no
    token would be sent; StoreError.
    """
    settings = load_settings()
    configure_logs(settings.log_level, settings.secrets())
    _check(answers)
    if answers.org == "salesforce" and answers.instance_url:
        Hosts(settings.salesforce.allowed_hosts).checked(answers.instance_url)
    program = _program(answers)
    names = [Path(FILE), *program, *([FIELD_MAP] if answers.org != "files" else [])]
    names += [FILES_MAP] if _from_files(answers) else []
    names += [ENVIRONMENT] if answers.org == "salesforce" else []
    _refuse_existing(to, names)
    discovery, unanswered = _discovered(answers, settings, program, to)
    texts = {Path(FILE): _configuration(answers, next(iter(program)), discovery), **program}
    if answers.org != "files":
        texts[FIELD_MAP] = discovery.text if discovery else shipped_map()
    if _from_files(answers):
        texts[FILES_MAP] = (packaged_folder() / FILES_MAP).read_text(encoding="utf-8")
    if answers.org == "salesforce":
        texts[ENVIRONMENT] = _environment(answers)
    written = _write(to, texts, [folder for folder in _folders(answers) if folder])
    return SetUp(to, answers, written, discovery, unanswered, tuple(exposed_files(settings)))


def _check(answers: Answers) -> None:
    known = templates()
    if answers.template not in known:
        raise ConfigError(
            f"--template {answers.template}: there is no such template{nearest(answers.template, known)}; "
            f"there are {', '.join(known)}"
        )
    for flag, value, choices in (("--org", answers.org, ORGS), ("--login", answers.login, LOGINS)):
        if value not in choices:
            raise ConfigError(f"{flag} {value}: write one of {', '.join(choices)}{nearest(value, choices)}")
    _zone(answers.time_zone)
    for table, source in answers.tables.items():
        if table not in CANONICAL or table == "partners":
            raise ConfigError(f"--table {table}: no table of crmsync{nearest(table, CANONICAL)}")
        if source.partition(":")[0] not in (*CONNECTORS, "nowhere"):
            raise ConfigError(f"--table {table}={source}: write salesforce, files:FOLDER, or nowhere")


def _zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ConfigError(f"`{name}` is not a time zone; write an IANA name such as Europe/Berlin") from None
    return name


def _program_text(template: Template) -> str:
    return next(iter(template.files.values()))


def _program(answers: Answers) -> dict[Path, str]:
    """The files of the program; the program itself stands first."""
    files = with_categories(templates()[answers.template].files, answers.categories)
    return {Path("programs") / name: text for name, text in files.items()}


def _refuse_existing(to: Path, names: Sequence[Path]) -> None:
    there = [str(to / name) for name in names if (to / name).exists()]
    if there:
        verb = "is" if len(there) == 1 else "are"
        raise ConfigError(
            f"{', '.join(there)} {verb} there already; nothing was written. Take another folder with --to"
        )


def _discovered(
    answers: Answers, settings: Settings, program: Mapping[Path, str], to: Path
) -> tuple[Discovery | None, str]:
    """The field map of the org, where it answers; else why not."""
    if answers.org != "salesforce":
        return None, ""
    given = settings.salesforce
    salesforce = given.model_copy(update={"instance_url": answers.instance_url or given.instance_url})
    if not (salesforce.access_token or salesforce.client_secret or salesforce.jwt_key_file or salesforce.refresh_token):
        return None, f"no login is set yet: fill in {to / ENVIRONMENT}, load it, and run `crmsync discover --to {to}`"
    try:
        with tempfile.TemporaryDirectory(prefix="crmsync-") as scratch:
            (path, *_) = _write(Path(scratch), program, ())
            return read_and_propose(salesforce, path), ""
    except (AccessError, Retriable) as error:
        return None, f"the org was not read: {error}"


def _from_files(answers: Answers) -> bool:
    return answers.org == "files" or any(source.startswith("files") for source in answers.tables.values())


def _folders(answers: Answers) -> list[str]:
    """Folders for tables from files; crmsync.yaml is only read where they are there."""
    own = [source.partition(":")[2] for source in answers.tables.values() if source.startswith("files")]
    return [DATA, *own] if answers.org == "files" or "" in own else own


def _configuration(answers: Answers, program: Path, discovery: Discovery | None) -> str:
    lines = [
        "# What a run reads, by which program, and where it writes. Addresses and secrets are environment variables.",
        "# Every key is explained in docs/configuration.md.",
        "",
        f"org: {answers.org}",
        *(["sandbox: {sample: 200, seed: 7}   # the embedded company"] if answers.org == "sandbox" else []),
        "",
        f"program: {program}",
        f"time_zone: {answers.time_zone}   # whose calendar day is today",
        "",
        *([f"files: {{folder: {DATA}}}   # one CSV or Parquet file per table"] if DATA in _folders(answers) else []),
        "tables:",
        *_table_lines(answers, discovery),
        "",
        f"write_to: {'files' if answers.org == 'files' else 'salesforce'}",
        "",
        "# A plan is blocked until somebody approves it when more partners move than the larger of the two, or when",
        "# data lack. These are the defaults; docs/guards.md names them all.",
        "guards:",
        "  tier_changes: {at_least: 10, share: 5%}",
        "  demotions: {at_least: 5, share: 2%}",
    ]
    return "\n".join(lines) + "\n"


def _table_lines(answers: Answers, discovery: Discovery | None) -> list[str]:
    """One line per table; what the org was not found to have is commented out."""
    lines = []
    for table in _known_tables(answers, discovery):
        source = answers.tables.get(table, "files" if answers.org == "files" else "salesforce")
        kind, _, folder = source.partition(":")
        if kind == "files" and folder:
            lines.append(f"  {table}: {{connector: files, folder: {folder}}}   # match: partners.account_number")
        elif kind != "nowhere":
            lines.append(f"  {table}: {kind}")
    mapped = {line.split(":")[0].strip() for line in lines}
    return [*lines, *(f"  # {table}: salesforce   # not found yet" for table in _asked(answers) if table not in mapped)]


def _asked(answers: Answers) -> list[str]:
    wanted = [table for table in read_mapping(packaged_folder() / FIELD_MAP).tables if answers.org != "files"]
    return [table for table in wanted if answers.tables.get(table) != "nowhere"]


def _known_tables(answers: Answers, discovery: Discovery | None) -> list[str]:
    if answers.org == "files":
        return ["partners", "opportunities", "certifications", "activities"]
    if discovery is None:
        return list(read_mapping(packaged_folder() / FIELD_MAP).tables)
    found = {one.name for one in discovery.proposal.tables if one.object.value is not None}
    return [table for table in CANONICAL if table in found or answers.tables.get(table, "").startswith("files")]


def _environment(answers: Answers) -> str:
    url = answers.instance_url or "https://example.my.salesforce.com"
    lines = [
        "# The environment of crmsync, without its secrets. Copy it to crmsync.env, fill it in, keep that out of",
        "# version control, and load it before a command:  set -a; . ./crmsync.env; set +a",
        "",
        f"{_PREFIX}INSTANCE_URL={url}",
    ]
    for name in _NAMES[answers.login]:
        lines += [f"# {_SAID[name]}", f"{_PREFIX}{name}="]
    return "\n".join(lines) + "\n"


def _write(to: Path, texts: Mapping[Path, str], folders: Sequence[str]) -> tuple[Path, ...]:
    try:
        for folder in folders:
            (to / folder).mkdir(parents=True, exist_ok=True)
        for name, text in texts.items():
            (to / name).parent.mkdir(parents=True, exist_ok=True)
            with (to / name).open("x", encoding="utf-8") as stream:
                stream.write(text)
    except FileExistsError as error:
        raise ConfigError(f"{error.filename} is there already; it was left as it is") from error
    except OSError as error:
        raise StoreError(f"{to}: cannot be written: {error.strerror or error}") from error
    return tuple(to / name for name in texts)
