"""Program files, read into the frozen tree of `program.py`, whole or not at all.

One error at a time, with file and line; what the language has and this version lacks is refused by name.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from crmsync.errors import ConfigError
from crmsync.programs.benefits import Offer, read_commission, read_costs
from crmsync.programs.categories import (
    read_categories,
    read_declared,
    read_headline,
    read_primary,
    read_starts_from,
    read_takes_part,
)
from crmsync.programs.dependence import check_tiers
from crmsync.programs.ecb import FROM_ECB
from crmsync.programs.ladders import Setting, check_splits, read_family, read_ladders
from crmsync.programs.metrics import money_readers, read_metrics, read_units
from crmsync.programs.movement import Calendar, Layer, check_steps, read_movement
from crmsync.programs.names import Tables, read_label
from crmsync.programs.outlook import read_effort, read_risk
from crmsync.programs.program import Metric, Program
from crmsync.programs.ranks import check_programs, read_positions
from crmsync.programs.rates import FROM_CRM, MoneyColumns, check_money, read_currency, read_money, read_rates
from crmsync.programs.references import read_references
from crmsync.programs.review_dates import read_every, read_fiscal_start
from crmsync.programs.sheets import is_file
from crmsync.programs.threshold_table import file_of, read_threshold_table
from crmsync.programs.thresholds import Conversion
from crmsync.programs.tier_names import own_key, programs_read, read_tier_names
from crmsync.programs.versions import by_key, read_migration
from crmsync.programs.vocabulary import Vocabulary
from crmsync.strict_yaml import Node, read_yaml
from crmsync.tables import ColumnType

CASE_KEYS = ("name", "metrics", "partner", "tables", "as_of", "category", "previous", "expect", "on")
_BESIDE = re.compile(r"^(?:cases|thresholds):\s+([^\s#\[]+)\s*(?:#.*)?$", re.M)

Columns = Mapping[str, Mapping[str, ColumnType]]
"""Table -> column -> type, as delivered."""

_PROGRAM_KEY = re.compile(r"[A-Za-z][A-Za-z0-9_-]*")
_REQUIRED = ("program", "metrics", "ladders")
_OPTIONAL = (
    *("label", "means", "currency", "rates", "money", "references", "categories", "declared", "headline"),
    *("primary", "takes_part", "movement", "starts_from", "effort", "risk", "effective_from", "cases"),
    *("fiscal_year", "reassess", "thresholds", "family", "commission", "costs", "migration"),
)


def load_program(path: Path, columns: Columns | None = None) -> Program:
    """The program of one file.

    `columns`: what the tables really hold, so that further columns are known and others are refused; None lets
    columns and tables through that the language does not list. Errors: ConfigError.
    """
    top = read_yaml(path)
    parts = top.mapping(_REQUIRED, _OPTIONAL)
    tables = Tables(columns)
    money = read_money(parts.get("money"))
    check_money(parts.get("money"), tables)
    references = read_references(parts.get("references"), tables)
    check_programs(parts)
    tiers, units = read_tier_names(parts), read_units(parts["metrics"])
    words = Vocabulary(tables, references, money, units, tiers, read_positions(parts["metrics"], tiers))
    return _program(path, top, parts, words)


def _program(path: Path, top: Node, parts: Mapping[str, Node], words: Vocabulary) -> Program:
    key = _key(parts["program"])
    currency = read_currency(parts.get("currency"))
    rates = read_rates(parts.get("rates"), currency)
    effective = parts["effective_from"].date() if "effective_from" in parts else None
    conversion = Conversion.of(currency, rates, effective)
    metrics = read_metrics(parts["metrics"], words, conversion)
    _check_currency(parts, currency, metrics, words.money)
    calendar = Calendar(words, read_fiscal_start(parts.get("fiscal_year")))
    table = read_threshold_table(parts.get("thresholds"), words, conversion)
    offer = Offer(words, conversion)
    ladders = read_ladders(parts["ladders"], Setting(offer, calendar, table))
    check_splits(parts["ladders"], ladders, metrics)
    categories = read_categories(parts.get("categories"), top, metrics, ladders, calendar)
    check_tiers(metrics, ladders, categories, parts["metrics"].file)
    commission = read_commission(parts.get("commission"), offer)
    primary = read_primary(parts.get("primary"), words, categories)
    movement = read_movement(parts.get("movement"), calendar)
    check_steps(Layer(movement, parts.get("movement"), "the program"), categories, ladders, top)
    _check_cases(parts.get("cases"))
    return Program(
        key=key,
        label=read_label(parts, key),
        file=path,
        digest=_digest(path, _files(path, parts, words)),
        metrics=metrics,
        ladders=ladders,
        categories=categories,
        currency=currency,
        rates=rates,
        money=words.money,
        references=words.references,
        takes_part=read_takes_part(parts.get("takes_part"), words),
        declared=read_declared(parts.get("declared"), words),
        headline=read_headline(parts.get("headline"), primary),
        primary=primary,
        starts_from=read_starts_from(parts.get("starts_from"), words, ladders.values()),
        effort=read_effort(parts.get("effort"), words),
        risk=read_risk(parts.get("risk")),
        effective_from=effective,
        has_categories="categories" in parts,
        movement=movement,
        migration=read_migration(parts.get("migration"), effective, ladders),
        fiscal_start=calendar.fiscal_start,
        reassess=read_every(parts.get("reassess")),
        family=read_family(parts.get("family"), words),
        commission=commission,
        costs=read_costs(parts.get("costs"), words, ladders.values(), commission),
        means=parts["means"].text() if "means" in parts else "",
    )


def load_programs(path: Path, columns: Columns | None = None) -> list[Program]:
    """The programs of a folder, or of a file after those it reads by `tier_of`: each in all versions, oldest first.

    A file alone is the one version of its program; where it has a `migration:`, the versions beside it are only known
    as those `before` it. Errors: ConfigError.
    """
    loaded = [load_program(file, columns) for file in program_files(path)]
    found = [program for versions in by_key(loaded).values() for program in versions]
    return found if path.is_dir() else [one for one in found if one.file == path or one.key != loaded[-1].key]


def money_columns(path: Path) -> MoneyColumns:
    """What `money:` names in a program file or a folder of them, readable before the tables are."""
    named = [read_money(read_yaml(file).mapping().get("money")) for file in program_files(path)]
    return frozenset[tuple[str, str]]().union(*named)


def program_files(path: Path) -> list[Path]:
    """The files of a folder, or a file after those that it needs beside it."""
    if not path.is_dir():
        return _with_needed(path)
    files = _yaml_files(path)
    if not files:
        raise ConfigError("holds no program: no file that ends in .yaml", file=str(path))
    return files


def _yaml_files(folder: Path) -> list[Path]:
    """The YAML files of a folder, but those that hold the cases or thresholds of another."""
    files = sorted(file for file in folder.iterdir() if file.suffix in (".yaml", ".yml") and file.is_file())
    beside = {name for file in files for name in _BESIDE.findall(file.read_text("utf-8", errors="replace"))}
    return [file for file in files if file.name not in beside]


def _with_needed(path: Path) -> list[Path]:
    """The file, after the files beside it whose programs it reads by `tier_of`, and its versions to migrate from."""
    keys: dict[Path, str] | None = None
    found, waiting = [path], [path]
    while waiting:
        needed = _needed_keys(read_yaml(waiting.pop()))
        if not needed:
            continue
        keys = keys if keys is not None else _keys_beside(path)
        more = [file for file, key in keys.items() if key in needed and file not in found]
        found = [*more, *found]
        waiting += more
    return found


def _needed_keys(top: Node) -> set[str | None]:
    """Keys of the programs that a file reads, its own where it has versions to migrate from."""
    parts = top.mapping()
    return {key for _, key in programs_read(parts)} | ({own_key(parts)} if "migration" in parts else set())


def _keys_beside(path: Path) -> dict[Path, str]:
    """The program key of each other file of the folder that has one; other YAML files are none of ours."""
    found = {}
    for file in _yaml_files(path.parent):
        try:
            key = read_yaml(file).mapping().get("program") if file != path else None
        except ConfigError:
            continue
        if key is not None and key.is_text:
            found[file] = key.text()
    return found


def _key(node: Node) -> str:
    if not _PROGRAM_KEY.fullmatch(node.text()):
        raise node.fail(f"`{node.text()}` cannot be a program's key; use letters, digits, `_` and `-`, first a letter")
    return node.text()


def _check_currency(
    parts: Mapping[str, Node], currency: str | None, metrics: Mapping[str, Metric], money: MoneyColumns
) -> None:
    """Errors: ConfigError where money is read and no currency says in what."""
    readers = money_readers(metrics, money)
    if currency is None and readers:
        where = parts["metrics"].mapping()[readers[0].key.split(".")[0]]
        raise where.fail(f"`currency:` is missing: metric `{readers[0].key}` is money or reads money")


def _check_cases(node: Node | None) -> None:
    """Cases, here or in a file beside the program, are run by `crmsync test`; only their shape is looked at."""
    if node is not None and node.is_text:
        file = Path(node.file).parent / node.text()
        if not is_file(file):
            raise node.fail(f"`{node.text()}` is no file beside the program (looked for {file})")
        top = read_yaml(file)
        node = top.mapping(("cases",))["cases"] if top.is_mapping else top
    for case in node.sequence() if node else ():
        case.mapping(optional=CASE_KEYS)


def _files(path: Path, parts: Mapping[str, Node], words: Vocabulary) -> Iterable[Path]:
    yield from (reference.file for reference in words.references.values())
    thresholds = file_of(parts.get("thresholds"))
    yield from [thresholds] if thresholds else ()
    if "rates" in parts and parts["rates"].text() not in (FROM_CRM, FROM_ECB):
        yield path.parent / parts["rates"].text()


def _digest(path: Path, files: Iterable[Path]) -> str:
    """sha256 over the file and what it reads beside it, by name, so that a change in any of them is another program."""
    whole = hashlib.sha256()
    for file in (path, *sorted(set(files))):
        content = file.read_bytes()
        whole.update(f"{len(content)} {file.name}\n".encode())
        whole.update(content)
    return whole.hexdigest()
