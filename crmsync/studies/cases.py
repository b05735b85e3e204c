"""A program's own tests: every case is assessed by the real engine and compared with what it expects.

Cases that only give metrics and share a day are put into one assessment as partners that know nothing of each other;
a case with facts, relatives or a timeline has assessments of its own.
"""

from __future__ import annotations

import tempfile
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from crmsync.errors import ConfigError, DataError
from crmsync.levelling.assess import assess_programs, reviewed
from crmsync.levelling.standings import COLUMNS, json_text
from crmsync.levelling.summary import LIGHT
from crmsync.levelling.tier_of import programs_read
from crmsync.levelling.timeline import Standing
from crmsync.programs.loading import load_programs
from crmsync.programs.program import Program
from crmsync.strict_yaml import Node
from crmsync.studies.case_files import Case, Given, Previous, Step, day_before, read_cases
from crmsync.studies.case_tables import (
    PARTNER,
    CaseRows,
    Facts,
    Types,
    places_of,
    seal,
    tables_of,
    types_of,
)
from crmsync.studies.expectations import Row, differences, plain_rows
from crmsync.studies.given import (
    Setting,
    as_given,
    belonging,
    given_columns,
    has_facts,
    ranks_within_population,
    split_column,
    split_rows,
    table_of_given,
)


@dataclass(frozen=True)
class CaseResult:
    """How one case ended. `differences`: place, column, expected and got; empty where it passed."""

    program: str
    name: str
    file: str
    line: int
    differences: tuple[str, ...] = ()

    @property
    def passed(self) -> bool:
        """Whether everything came out as expected."""
        return not self.differences


def run_cases(path: Path, selected: Collection[str] | None = None) -> list[CaseResult]:
    """The results of all cases of a program file or a folder of them, in file order. `selected`: names, None for all.

    Errors: ConfigError for a program or a case that is not written rightly.
    """
    results: list[CaseResult] = []
    for program in load_programs(path):
        if path.is_dir() or program.file == path:
            cases = [case for case in read_cases(program) if selected is None or case.name in selected]
            results += _Runner.of(program, cases).results() if cases else []
    return results


@dataclass(frozen=True)
class _Asked:
    """One partner on one day of one case."""

    case: Case
    step: Step
    partner_id: str
    previous: Sequence[Previous | Row]


@dataclass
class _Runner:
    """Runs the cases of one program."""

    program: Program
    others: Sequence[Program]  # the programs that this one may read
    cases: Sequence[Case]
    types: Types
    scratch: Path
    found: dict[str, list[str]] = field(default_factory=dict)
    count: int = 0

    @classmethod
    def of(cls, program: Program, cases: Sequence[Case]) -> _Runner:
        """The runner of the cases of one program, which is loaded again with the columns that the cases have."""
        for case in cases:
            _check_splits(program, case)
        file = program.file
        types = types_of(load_programs(file), cases)
        typed = load_programs(file, types)
        own = next(one for one in typed if one.file == file)
        return cls(own, [one for one in typed if one.key != own.key], cases, types, Path())

    def results(self) -> list[CaseResult]:
        with tempfile.TemporaryDirectory(prefix="crmsync-cases-") as scratch:
            self.scratch = Path(scratch)
            for batch in self._batches():
                with suppress(DataError):  # whose fault it is shows when each is run alone
                    self._run_batch(batch)
            for case in self.cases:
                if case.name not in self.found:
                    self.found[case.name] = self._alone(case)
        return [
            CaseResult(self.program.key, case.name, case.file, case.line, tuple(self.found[case.name]))
            for case in self.cases
        ]

    # --- many cases at once

    def _batches(self) -> list[list[Case]]:
        """Cases that one assessment can answer, because each partner stands alone."""
        groups: dict[object, list[Case]] = {}
        for case in self.cases:
            setting = self._setting(case, case.steps[0])
            if not self._stands_alone(case, setting):
                continue
            before = frozenset(one.as_of or day_before(case.steps[0].on) for one in case.previous)
            groups.setdefault((case.steps[0].on, setting, before), []).append(case)
        return list(groups.values())

    def _stands_alone(self, case: Case, setting: Setting) -> bool:
        step = case.steps[0]
        relatives = {"parent_id", "partner_id"} & set(step.partner)
        if len(case.steps) > 1 or case.tables or relatives:
            return False
        return not ranks_within_population(self.program, setting.given)

    def _run_batch(self, batch: Sequence[Case]) -> None:
        asked = [
            _Asked(case, case.steps[0], f"{PARTNER} {place}", case.previous) for place, case in enumerate(batch, 1)
        ]
        rows, hints = self._assessed(asked, self._setting(batch[0], batch[0].steps[0]))
        for one in asked:
            own = [row for row in rows if row["partner_id"] == one.partner_id]
            self.found[one.case.name] = [*self._compared(one.step, own, hints)]

    def _setting(self, case: Case, step: Step) -> Setting:
        facts = has_facts(case.tables)
        split = frozenset(key for key, value in step.metrics.items() if isinstance(value, Mapping))
        named = frozenset(step.metrics) - split
        known = {("partners", column) for column in step.partner}
        known |= {(table, column) for table, rows in case.tables.items() for row in rows for column in row.mapping()}
        belongs, takes_part = belonging(self.program, case.categories, known, {*named, *split}, facts)
        # what reads rows comes from the case anyway, given or not, so it need not keep cases apart
        derived = named if facts else frozenset(key for key in named if not self._comes_from_case(key))
        return Setting(derived, split, facts, belongs, takes_part)

    def _comes_from_case(self, key: str) -> bool:
        nothing = Setting(frozenset(), frozenset(), False, frozenset(), True)
        return as_given(self.program, nothing).metrics[key] is not self.program.metrics[key]

    # --- one case

    def _alone(self, case: Case) -> list[str]:
        try:
            return list(self._timeline(case))
        except DataError as error:
            return [f"{case.file}:{case.line}: {error}"]

    def _timeline(self, case: Case) -> Iterator[str]:
        """The differences of all days of a case, each assessed on the standings of the day before it."""
        previous: Sequence[Previous | Row] = case.previous
        last: Step | None = None
        for step in case.steps:
            own = step.partner["partner_id"].text() if "partner_id" in step.partner else PARTNER
            eve: Standing = None
            if last is not None and _changes(last, step):
                # what was given last holds on the review days between
                eve = self._eve(_Asked(case, replace(last, on=step.on, expected=()), own, previous))
            now, hints = self._assessed([_Asked(case, step, own, previous)], self._setting(case, step), eve)
            told = [row for row in now if row["partner_id"] == own]
            prefix = f"{step.on}: " if len(case.steps) > 1 else ""
            yield from (f"{prefix}{one}" for one in self._compared(step, told, hints))
            previous, last = now, step

    def _compared(self, step: Step, rows: Sequence[Row], hints: Sequence[str]) -> Iterator[str]:
        found = [one for expected in step.expected for one in differences(self.program, expected, rows)]
        yield from found
        yield from (hint for hint in hints if found or ": left out: " in hint)

    # --- assessing

    def _eve(self, asked: _Asked) -> Standing:
        """What stands on the eve of a day, by what was known before it."""
        setting = self._setting(asked.case, asked.step)
        self.count += 1
        sealed = seal(self.scratch / str(self.count), self._facts([asked], setting), self.types)
        return reviewed(self._programs(setting), sealed.snapshot, asked.step.on, self._previous_file([asked]))

    def _programs(self, setting: Setting) -> list[Program]:
        program = as_given(self.program, setting)
        return [*(self.others if programs_read(program) else ()), program]

    def _assessed(
        self, asked: Sequence[_Asked], setting: Setting, eve: Standing = None
    ) -> tuple[list[dict[str, Any]], list[str]]:
        """The standings of one day, and what should be said where they are not as expected. `eve`: what stands before,
        by default the previous standings of the case."""
        self.count += 1
        step = asked[0].step
        sealed = seal(self.scratch / str(self.count), self._facts(asked, setting), self.types)
        before = eve if eve is not None else self._previous_file(asked)
        light = all(one.columns.keys() <= LIGHT for each in asked for one in each.step.expected)
        found = assess_programs(self._programs(setting), sealed.snapshot, step.on, before, light=light)[-1]
        hints = [*places_of(sealed.rejected)]
        hints += [f"not applied: {bad.file}: {bad.column} `{bad.value}`: {bad.reason}" for bad in found.rejected]
        return plain_rows(found.standings), hints

    def _facts(self, asked: Sequence[_Asked], setting: Setting) -> Facts:
        facts = Facts()
        if len(asked) == 1 and (asked[0].case.tables or asked[0].partner_id == PARTNER):
            facts.tables = tables_of(asked[0].case, asked[0].step.partner)
        else:
            facts.tables = {"partners": _plain_partners(asked)}
        metrics = {one.partner_id: one.step.metrics for one in asked}
        ids = [row["partner_id"] for row in facts.tables["partners"].rows]
        of_rows: list[Mapping[str, Given]] = [metrics.get(one.text(), {}) if one else {} for one in ids]
        facts.columns = given_columns(self.program, setting, of_rows)
        facts.ready = {table_of_given(key): split_rows(self.program, key, metrics) for key in sorted(setting.split)}
        return facts

    def _previous_file(self, asked: Sequence[_Asked]) -> Path | None:
        """The standings before, as a file like one that an assessment left."""
        lines = [line for one in asked for line in self._lines(one)]
        if not lines:
            return None
        path = self.scratch / f"previous_{self.count}.jsonl"
        path.write_text("".join(f"{json_text(line)}\n" for line in lines), encoding="utf-8")
        return path

    def _lines(self, asked: _Asked) -> Iterator[Mapping[str, Any]]:
        for one in asked.previous:
            if not isinstance(one, Previous):
                yield one
                continue
            for category in [one.category] if one.category else self._categories(asked.case):
                yield self._line(asked, one, category)

    def _categories(self, case: Case) -> Iterable[str]:
        named = [key for key in self.program.categories if key in case.categories]
        return named or self.program.categories

    def _line(self, asked: _Asked, previous: Previous, category: str) -> Mapping[str, Any]:
        as_of = previous.as_of or day_before(asked.step.on)
        line: dict[str, Any] = dict.fromkeys(COLUMNS)
        line |= {"program": self.program.key, "program_version": self.program.version, "as_of": as_of,
                 "partner_id": asked.partner_id, "category": category, "movement": "unchanged", "overrides": [],
                 "tier_since": as_of, "gap": [], "metrics": {}, "risk_reasons": [], "provisional": False,
                 "provisional_reasons": [], "format": 1}  # fmt: skip
        return {**line, **previous.columns}


def _check_splits(program: Program, case: Case) -> None:
    for step in case.steps:
        for key, value in step.metrics.items():
            if isinstance(value, Mapping) and split_column(program, program.metrics[key]) is None:
                told = f"metric {key} is not split (it has no `split_by:`); give one value"
                raise ConfigError(told, file=case.file, line=case.line)


def _plain_partners(asked: Sequence[_Asked]) -> CaseRows:
    rows: list[dict[str, Node | None]] = [
        {**one.step.partner, "partner_id": Node("", 0, one.partner_id, quoted=True)} for one in asked
    ]
    return CaseRows(rows, tuple(None for _ in rows))


def _changes(last: Step, step: Step) -> bool:
    return (last.metrics, last.partner) != (step.metrics, step.partner)
