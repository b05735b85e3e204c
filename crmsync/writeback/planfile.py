"""Saved plans: one canonical JSON file per digest, refused when a byte of its content was changed."""

from __future__ import annotations

import contextlib
import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import date
from pathlib import Path
from typing import Any

from crmsync.errors import ConfigError, StoreError
from crmsync.failpoints import hit
from crmsync.ledger.approvals import GuardRow, PlanRow, record_plan
from crmsync.ledger.canon import canonical, instant
from crmsync.ledger.ledger import Ledger
from crmsync.writeback.changes import Change
from crmsync.writeback.fields import FieldMap, Sink
from crmsync.writeback.hand_edits import HandEdit
from crmsync.writeback.plan import Basis, Mover, Plan, digest_of
from crmsync.writeback.verdicts import GuardResult

FORMAT = 1
FOLDER = "plans"
DIGEST_PREFIX = re.compile(r"[0-9a-f]{4,64}")


def save_plan(plan: Plan, ledger: Ledger, out: Path | None = None) -> Path:
    """Write the plan to `plans/<digest>.json` of the state folder (and to `out`) and note it; returns the path."""
    path = ledger.state_dir / FOLDER / f"{plan.digest}.json"
    for place in (path, *((out,) if out else ())):
        _write(place, _texts(plan))
    row = PlanRow(
        plan.digest, plan.run_id, path, plan.as_of, len(plan.changes), len(plan.movers), plan.blocked,
        "blocked" if plan.blocked else "drafted", instant(),
    )  # fmt: skip
    record_plan(ledger, row, [GuardRow(g.guard, g.value, g.limit, g.tripped, g.way_out) for g in plan.guards])
    hit("plan_saved")
    return path


def _texts(plan: Plan) -> Iterator[str]:
    """The file as canonical JSON, piece by piece."""
    yield '{"content":'
    yield from plan.content()
    rest = {"digest": plan.digest, "format": FORMAT, "run_id": plan.run_id, "standings": plan.standings}
    yield "," + canonical(rest)[1:] + "\n"


def _write(path: Path, texts: Iterable[str]) -> None:
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with partial.open("w", encoding="utf-8") as stream:
            stream.writelines(texts)
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(partial, path)
    except OSError as error:
        with contextlib.suppress(OSError):
            partial.unlink()
        raise StoreError(f"{path}: the plan cannot be saved ({error})") from error


def load_plan(plan: str | Path, state_dir: Path) -> Plan:
    """The saved plan, given as a file or by the first digits of its digest (at least four).

    Errors: ConfigError when nothing or more than one plan fits, or when the file was changed since it was drafted.
    """
    path = Path(plan)
    if not path.is_file():
        path = _by_digest(str(plan), state_dir / FOLDER)
    try:
        whole = json.loads(path.read_text(encoding="utf-8"))
        return _verified(path, whole)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ConfigError(f"not a plan that `crmsync plan` saved ({error!r})", file=str(path)) from error


def _by_digest(digest: str, folder: Path) -> Path:
    if not DIGEST_PREFIX.fullmatch(digest):
        raise ConfigError(f"{digest!r} is neither a plan file nor the first digits (four or more) of a plan's digest")
    found = sorted(folder.glob(f"{digest}*.json"))
    if not found:
        raise ConfigError(f"no plan in {folder} has a digest that starts with {digest!r}; `crmsync status` names them")
    if len(found) > 1:
        named = ", ".join(path.stem[:12] for path in found[:5])
        raise ConfigError(f"{digest!r} fits {len(found)} plans ({named}); give more digits")
    return found[0]


def _verified(path: Path, whole: Mapping[str, Any]) -> Plan:
    if whole["format"] != FORMAT:
        raise ConfigError(
            f"plan format {whole['format']!r} is not the one this crmsync reads ({FORMAT})", file=str(path)
        )
    found = digest_of([canonical(whole["content"])])
    if found != whole["digest"]:
        raise ConfigError(
            f"the plan was changed since it was drafted: its digest is {whole['digest'][:12]}, its content gives "
            f"{found[:12]}; plan again instead of editing",
            file=str(path),
        )
    return _plan(whole)


def _plan(whole: Mapping[str, Any]) -> Plan:
    content = whole["content"]
    return Plan(
        digest=whole["digest"],
        run_id=whole["run_id"],
        standings=whole["standings"],
        as_of=date.fromisoformat(content["as_of"]),
        basis=Basis(**content["basis"]),
        fields=_fields(content["fields"]),
        partners=content["partners"],
        changes=tuple(Change(**change) for change in content["changes"]),
        movers=tuple(Mover(**mover) for mover in content["movers"]),
        guards=tuple(GuardResult(**guard) for guard in content["guards"]),
        unknown_partners=tuple(content["unknown_partners"]),
        beside=tuple(Change(**change) for change in content.get("beside", ())),
        canary=content.get("canary", 0),
        held=tuple(content.get("held", ())),
        hand_edits=tuple(HandEdit(**edit) for edit in content.get("hand_edits", ())),
    )


def _fields(content: Mapping[str, Any]) -> FieldMap:
    return FieldMap(**{**content, "sinks": tuple(Sink(**sink) for sink in content.get("sinks", ()))})
