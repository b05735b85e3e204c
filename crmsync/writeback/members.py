"""Members of a channel program: their level follows the tier of the partner. Pure.

Members are people's: none is made or taken away, and nothing but the level is written.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import pyarrow.parquet as pq

from crmsync.errors import ConfigError
from crmsync.programs.program import Headline, Program
from crmsync.snapshots import Snapshot
from crmsync.writeback.beside import Beside, Drafted, changed_record
from crmsync.writeback.changes import Change
from crmsync.writeback.fields import Sink, account_of, normalised
from crmsync.writeback.inputs import CURRENT_VALUES
from crmsync.writeback.wording import Standing, label_of_tier

CHANNEL_PROGRAM_MEMBER = "channel_program_member"
LEVEL = "level"
PROGRAM_FIELD = "ProgramId"
LEVELS_TABLE = f"{CURRENT_VALUES}.channel_program_levels"

Levels = Mapping[tuple[str, str], tuple[str, str]]
"""(id of the channel program, name of the level in small letters) -> (id of the level, its name)."""


def levels_of(snapshot: Snapshot) -> Levels | None:
    """The levels of the channel program that the field map names; None where the snapshot does not say."""
    file = snapshot.tables.get(LEVELS_TABLE)
    if file is None:
        return None
    rows = pq.read_table(file.path, columns=["record_id", "key", "account"]).to_pylist()
    return {(row["account"], row["key"].casefold()): (row["record_id"], row["key"]) for row in rows if row["key"]}


def member_changes(
    drafted: Drafted,
    sink: Sink,
    partners: Mapping[str, Sequence[Standing]],
    held: Mapping[str, Beside] | None,
    levels: Levels | None,
) -> Iterator[Change]:
    """The members whose level differs. Errors: ConfigError for a tier that has no level, and for names that do not fit.

    A member whose account is none of the partners is left alone.
    """
    if held is None or levels is None:
        return
    _check(drafted.program, sink)
    by_account = {account: partner for partner, account in drafted.accounts.items()}
    names = dict(levels.values())
    for member in sorted(held):
        present = held[member]
        partner = by_account.get(present.account)
        if partner is None or partner in drafted.unread:
            continue
        wanted = _level(drafted.program, sink, partners[partner], present, levels)
        for change in changed_record(sink, member, partner, {LEVEL: normalised(LEVEL, wanted)}, present):
            before = present.values.get(sink.fields[LEVEL]) or ""
            told = f"level {names.get(before, before) or 'empty'} → {names.get(wanted or '', 'empty')}"
            yield replace(change, why=told)


def _check(program: Program, sink: Sink) -> None:
    """Refuse a sink that does not fit the program."""
    if sink.category and sink.category not in program.categories:
        known = ", ".join(program.categories)
        raise _wrong(f"category `{sink.category}` is none of program {program.key}; it has {known}")
    if not sink.category and program.headline is Headline.NONE:
        raise _wrong(f"program {program.key} has `headline: none`; say with `category:` whose tier gives the level")
    labels = {tier.label for ladder in program.ladders.values() for tier in ladder.tiers}
    for label in sink.levels:
        if label not in labels:
            raise _wrong(f"`levels:` names the tier `{label}`; program {program.key} has {', '.join(sorted(labels))}")


def _level(program: Program, sink: Sink, rows: Sequence[Standing], present: Beside, levels: Levels) -> str | None:
    """The id of the level that goes with the tier; None for no tier, or a tier that has no level."""
    row = account_of(program, rows).headline
    if sink.category:
        row = next((one for one in rows if one["category"] == sink.category), {})
    tier = label_of_tier(program, row.get("category") or "", row.get("granted_tier"))
    if tier is None:
        return None
    name = sink.levels.get(tier, tier)
    if not name:
        return None
    own = present.values.get(PROGRAM_FIELD) or ""
    found = levels.get((own, name.casefold()))
    if found is None:
        known = ", ".join(shown for (program_id, _), (_, shown) in sorted(levels.items()) if program_id == own)
        raise _wrong(
            f"channel program `{sink.program}` has no level `{name}` for the tier {tier}; its levels are: "
            f"{known or 'none'}. Add the level in Salesforce, or name another one: `levels: {{{tier}: …}}`"
        )
    return found[0]


def _wrong(message: str) -> ConfigError:
    return ConfigError(f"field map, `writes: sinks: {CHANNEL_PROGRAM_MEMBER}:` {message}")
