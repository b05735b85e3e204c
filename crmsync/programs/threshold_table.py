"""`thresholds:`: values of criteria kept in a table, CSV or YAML, by tier and by attributes of the partner.

Source: program-language, section 5.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from crmsync.programs.names import PARTNERS, Kind
from crmsync.programs.program import FromSheet, ThresholdRow, Value
from crmsync.programs.sheets import Sheet, is_file, read_sheet
from crmsync.programs.thresholds import Conversion, attribute_text, read_cell
from crmsync.programs.vocabulary import Vocabulary, column_kind
from crmsync.strict_yaml import Node, nearest, read_yaml

REQUIRED = ("ladder", "tier", "metric", "value")
OPTIONAL = ("rule", "currency")
RULES = ("requires", "keeps")

Place = tuple[str, str, str, str]
"""Ladder, tier, rule and metric that a row is about."""


@dataclass(frozen=True)
class _Row:
    place: Place
    attributes: Mapping[str, str]
    value: Value
    node: Node


@dataclass
class ThresholdTable:
    """The rows of a table, and which of them some criterion has asked for."""

    file: Path
    rows: Sequence[_Row]
    asked: set[Place] = field(default_factory=set)

    def asked_by(self, node: Node, place: Place) -> FromSheet:
        """The rows for one criterion. Errors: ConfigError where there is none."""
        self.asked.add(place)
        rows = [ThresholdRow(row.attributes, row.value, row.node.line) for row in self.rows if row.place == place]
        if not rows:
            ladder, tier, rule, metric = place
            wanted = f"ladder `{ladder}`, tier `{tier}`, metric `{metric}` and rule `{rule}`"
            raise node.fail(f"{self.file.name} has no row with {wanted}")
        return FromSheet(tuple(sorted(rows, key=lambda row: -len(row.attributes))), self.file.name)

    def check_all_asked(self) -> None:
        """Errors: ConfigError for a row that no criterion asks for."""
        for row in self.rows:
            if row.place not in self.asked:
                ladder, tier, rule, metric = row.place
                raise row.node.fail(
                    f"no criterion asks for this row: write `{metric}: from thresholds` under `{rule}` "
                    f"of tier `{tier}` in ladder `{ladder}`, or take the row away"
                )


@dataclass(frozen=True)
class TierCells:
    """What the criteria of one tier, under `requires` or `keeps`, find in the table (None: the program has none)."""

    table: ThresholdTable | None
    ladder: str
    tier: str
    rule: str = RULES[0]

    def of(self, node: Node, metric: str) -> FromSheet:
        """The rows for a criterion on a metric. Errors: ConfigError."""
        if self.table is None:
            raise node.fail("`from thresholds` needs `thresholds:` with a table, like `thresholds: thresholds.csv`")
        return self.table.asked_by(node, (self.ladder, self.tier, self.rule, metric))


def read_threshold_table(node: Node | None, words: Vocabulary, conversion: Conversion) -> ThresholdTable | None:
    """The table that `thresholds:` names or holds. Errors: ConfigError."""
    if node is None:
        return None
    file, found = _rows(node, words)
    rows = [_row(one, words, conversion) for one in found]
    if not rows:
        raise node.fail("`thresholds:` holds no row")
    seen: dict[tuple[Place, frozenset[tuple[str, str]]], int] = {}
    for row in rows:
        first = seen.setdefault((row.place, frozenset(row.attributes.items())), row.node.line)
        if first != row.node.line:
            shown = ", ".join(f"{key} {value}" for key, value in row.attributes.items()) or "no attributes"
            raise row.node.fail(f"two rows for {' '.join(row.place)} with {shown} (the first on line {first})")
    return ThresholdTable(file, rows)


def file_of(node: Node | None) -> Path | None:
    """The file that `thresholds:` names, None where the rows stand in the program itself."""
    return Path(node.file).parent / node.text() if node is not None and node.is_text else None


def _rows(node: Node, words: Vocabulary) -> tuple[Path, list[Node]]:
    """Rows as mappings with the line of each."""
    file = file_of(node)
    if file is None:
        return Path(node.file), node.sequence()
    if file.suffix in (".yaml", ".yml"):
        if not is_file(file):
            raise node.fail(f"`{node.text()}` is no file beside the program (looked for {file})")
        return file, read_yaml(file).sequence()
    sheet = read_sheet(node, REQUIRED)
    for column in sheet.columns:
        problem = _column_problem(column, words)
        if problem:
            raise sheet.fail_head(problem)
    return file, [_as_mapping(sheet, index) for index in range(len(sheet.rows))]


def _as_mapping(sheet: Sheet, index: int) -> Node:
    line, file = sheet.lines[index], str(sheet.file)
    cells = {column: Node(file, line, cell) for column, cell in sheet.rows[index].items() if cell}
    for column in REQUIRED:
        if column not in cells:
            raise sheet.fail(index, f"`{column}` is empty")
    return Node(file, line, dict(cells), key_lines=dict.fromkeys(cells, line))


def _row(node: Node, words: Vocabulary, conversion: Conversion) -> _Row:
    cells = node.mapping()
    for key in REQUIRED:
        if key not in cells:
            known = [one for one in cells if one not in (*REQUIRED, *OPTIONAL)]
            raise node.fail(f"`{key}:` is missing in this row{nearest(key, known) if known else ''}")
    ladder = _one_of(cells["ladder"], "ladder", words.tiers.ladders)
    tier = _one_of(cells["tier"], "tier", words.tiers.ladders[ladder])
    rule = _one_of(cells["rule"], "rule", RULES) if "rule" in cells else RULES[0]
    metric = _one_of(cells["metric"], "metric", words.units)
    value = read_cell(cells["value"], cells.get("currency"), metric, words, conversion)
    extra = [key for key in cells if key not in (*REQUIRED, *OPTIONAL)]
    attributes = dict(_attribute(node, key, cells[key], words) for key in extra)
    return _Row((ladder, tier, rule, metric), attributes, value, node)


def _one_of(node: Node, what: str, known: Sequence[str] | Mapping[str, object]) -> str:
    if node.text() not in known:
        raise node.fail(f"unknown {what} `{node.text()}`{nearest(node.text(), known)}")
    return node.text()


def _attribute(node: Node, key: str, cell: Node, words: Vocabulary) -> tuple[str, str]:
    """A further column: a column of the partner, with the text it must have."""
    problem = _column_problem(key, words)
    if problem:
        raise node.fail_at_key(key, problem)
    column = key.removeprefix(f"{PARTNERS}.")
    kind = column_kind(cell, column, words.tables)
    return column, attribute_text(cell.text(), kind)


def _column_problem(key: str, words: Vocabulary) -> str | None:
    """Why a column can be neither one of the table nor an attribute; None where it can."""
    column, own = key.removeprefix(f"{PARTNERS}."), (*REQUIRED, *OPTIONAL)
    known = words.tables.columns(PARTNERS)
    if key in own:
        return None
    if column in known:
        is_list = words.tables.kind(PARTNERS, column) is Kind.LIST
        return f"`{column}` is a list; an attribute needs a column with one value" if is_list else None
    # Where the delivered columns are not known a further name is taken for one of them, unless a word is near.
    near = nearest(column, (*own, *known))
    if words.tables.delivered is None and "did you mean" not in near:
        return None
    return f"`{column}` is neither a column of the table nor of `{PARTNERS}`{near}"
