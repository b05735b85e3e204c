"""The derivation of a partner as a tree of text: category, tier, criterion, metric, record."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

SHOWN_RECORDS = 20
SHOWN_PATHS = 8
JUNCTIONS = {"all": "all of", "any": "any of", "none": "none of"}

Metrics = Mapping[str, Mapping[str, Any]]
Branch = tuple[str, "Sequence[Branch]"]
"""A line and what stands below it."""


def lines_of(head: str, standings: Sequence[Mapping[str, Any]], metrics: Metrics) -> Iterator[str]:
    """The lines of the tree."""
    seen: set[str] = set()
    branches = [_standing(row, metrics, seen) for row in standings]
    yield head
    yield from _drawn(branches, "")


def _drawn(branches: Sequence[Branch], indent: str) -> Iterator[str]:
    for at, (line, below) in enumerate(branches):
        last = at == len(branches) - 1
        yield f"{indent}{'└─' if last else '├─'} {line}"
        yield from _drawn(below, f"{indent}{'   ' if last else '│  '}")


def _standing(row: Mapping[str, Any], metrics: Metrics, seen: set[str]) -> Branch:
    below: list[Branch] = []
    if "why_not" in row:
        below.append(_why_not(row["why_not"]))
    below += [_tier(tier, metrics, seen) for tier in _worth_telling(row)]
    if row["gap_summary"]:
        below.append((f"to {row['next_tier']}: {row['gap_summary']}", ()))
    below += [_action(action) for action in row["next_actions"]]
    below += [(f"risk {row['risk']}: {reason}", ()) for reason in row["risk_reasons"]]
    benefits = {name: value for name, value in (row["benefits"] or {}).items() if value is not None}
    if benefits:
        below.append(("benefits: " + ", ".join(f"{name} {value}" for name, value in benefits.items()), ()))
    of = f", by its numbers in {row['per_value']}" if row["per_value"] else ""
    return f"category {row['category']}: {_tier_words(row)}{of}", below


def _worth_telling(row: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """All tiers; what keeps a tier only for those that the partner has."""
    keys = list(dict.fromkeys(tier["tier"] for tier in row["tiers"]))
    held = keys[: keys.index(row["earned_tier"]) + 1] if row["earned_tier"] in keys else []
    return (tier for tier in row["tiers"] if tier["rule"] == "requires" or tier["tier"] in held)


def _tier_words(row: Mapping[str, Any]) -> str:
    words = [f"{name} {row[f'{name}_tier'] or 'none'}" for name in ("calculated", "earned", "granted")]
    since = f" since {row['tier_since']}" if row["tier_since"] else ""
    grace = f", in grace until {row['grace_until']}" if row["grace_until"] else ""
    waits = f", {row['pending_tier']} from {row['pending_on'] or 'its approval'} on" if row["pending_tier"] else ""
    acts = [f"; {one['kind']} {one['value'] or ''} ({one['reason']})" for one in row["overrides"]]
    return f"{', '.join(words)}{since}, {row['movement'] or 'no standing'}{grace}{waits}{''.join(acts)}"


# --- tiers and criteria


def _tier(tier: Mapping[str, Any], metrics: Metrics, seen: set[str]) -> Branch:
    rule = "" if tier["rule"] == "requires" else " (to keep it)"
    tree = tier["tree"]
    below = [] if tree is None else [_part(tree, metrics, seen)]
    if below and tree["junction"] == "all":
        below = list(below[0][1])
    return f"{tier['label']}{rule}: {_held(tier['held'])}", below


def _part(tree: Mapping[str, Any], metrics: Metrics, seen: set[str]) -> Branch:
    if "entry" in tree:
        entry = tree["entry"]
        below = [_metric(entry["metric"], metrics, seen)] if entry["metric"] in metrics else []
        word = "undecided" if entry["undecided"] else "met    " if tree["held"] else "missing"
        return f"{word} {_entry(entry)}", below
    name = JUNCTIONS.get(tree["junction"]) or f"at least {tree['count']} of"
    return f"{name}: {_held(tree['held'])}", [_part(part, metrics, seen) for part in tree["parts"]]


def _entry(entry: Mapping[str, Any]) -> str:
    exempt = ", exempt" if entry.get("exempt") else ""
    required = _told(entry["required"])
    return f"{entry['metric']} = {_told(entry['value'])}, required {required}{exempt} [{entry['path']}]"


def _held(held: bool | None) -> str:
    return "undecided" if held is None else "holds" if held else "does not hold"


def _told(value: object) -> str:
    if value is None:
        return "unknown"
    text = str(value)
    return {"true": "yes", "false": "no"}.get(text.lower(), text)


def _why_not(told: Mapping[str, Any]) -> Branch:
    if told["held"]:
        head = f"why not {told['label']}: its numbers are there"
    elif len(told["paths"]) == 1:
        head = f"why not {told['label']}: {_missing(told['paths'][0])}"
        return head, [(line, ()) for line in told["besides"]]
    else:
        head = f"why not {told['label']}: none of {len(told['paths'])} paths is met"
    below: list[Branch] = [(line, ()) for line in told["besides"]]
    if not told["held"]:
        below += [(f"path {at}: {_missing(path)}", ()) for at, path in enumerate(told["paths"][:SHOWN_PATHS], 1)]
        if len(told["paths"]) > SHOWN_PATHS:
            below.append((f"and {len(told['paths']) - SHOWN_PATHS} more paths (--json lists every one)", ()))
    return head, below


def _missing(path: Mapping[str, Any]) -> str:
    lines = []
    for entry in path["missing"]:
        distance = f", {entry['missing']} missing" if entry["missing"] is not None else ""
        lines.append(f"{entry['metric']} = {_told(entry['value'])}, required {_told(entry['required'])}{distance}")
    return "; ".join(lines) or "nothing is missing"


def _action(action: Mapping[str, Any]) -> Branch:
    below: list[Branch] = []
    for deal in action.get("opportunities", ()):
        words = [deal["id"], *(str(deal[name]) for name in ("name", "stage", "value") if deal.get(name))]
        below.append((f"win {'  '.join(words)}", ()))
    for person in action.get("people", ()):
        ended = f", ended on {person['ended_on']}" if person["ended_on"] else ""
        below.append((f"{person['do']} {person['person_id']} (certificate {person['certificate']}{ended})", ()))
    return f"next for {action['label']}:", below


# --- metrics and records


def _metric(key: str, metrics: Metrics, seen: set[str]) -> Branch:
    metric = metrics[key]
    if key in seen:
        return f"{key} = {_told(metric['value'])} (see above)", ()
    seen.add(key)
    given = f", given by {metric['given_by']}" if metric.get("given_by") else ""
    head = f"{key} = {_told(metric['value'])}: {metric['how']}{given}{_window_words(metric.get('window'))}"
    below = [_metric(other, metrics, seen) for other in metric["built_on"] if other in metrics]
    below += list(_records(metric.get("records", ())))
    below += [_group(group) for group in metric.get("groups", ())]
    return head, below


def _group(group: Mapping[str, Any]) -> Branch:
    conditions = [(one["asks"], list(_records(one["records"]))) for one in group["conditions"]]
    return group["value"], conditions


def _records(records: Sequence[Mapping[str, Any]]) -> Iterator[Branch]:
    for record in records[:SHOWN_RECORDS]:
        amount = "" if record["value"] is None else f"  {record['value']}"
        yield f"{record['id']}  {record['date'] or 'no date'}{amount}", ()
    if len(records) > SHOWN_RECORDS:
        yield f"and {len(records) - SHOWN_RECORDS} more ({len(records)} in all; --json lists every one)", ()


def _window_words(window: Mapping[str, Any] | None) -> str:
    if not window:
        return ""
    if "in_force_on" in window:
        return f", in force on {window['in_force_on']}"
    return f", {window['from'] or 'ever'} to {window['until']}"
