"""The derivation of a partner as a tree of text: category, tier, criterion, metric, record."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from decimal import ROUND_DOWN, Decimal
from typing import Any

from crmsync.levelling.explain_tiers import waiting_words
from crmsync.levelling.gap import OF_TIERS
from crmsync.programs.program import NEEDS, Comparison

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
        below.append(_why_not(row["why_not"], metrics))
    below += [_tier(tier, metrics, seen) for tier in _worth_telling(row)]
    if row["gap_summary"]:
        below.append((f"to {row['next_tier']}: {row['gap_summary']}", ()))
    below += [_action(action) for action in row["next_actions"]]
    below += [(f"risk {row['risk']}: {reason}", ()) for reason in row["risk_reasons"]]
    benefits = {name: value for name, value in (row["benefits"] or {}).items() if value is not None}
    if benefits:
        below.append(("benefits: " + ", ".join(f"{name} {value}" for name, value in benefits.items()), ()))
    of = f", by its numbers in {row['per_value']}" if row["per_value"] else ""
    of = of or (f", without a record that has a {row['without']}" if row["without"] else "")
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
    waits = f" {waiting_words(tier['sustained'])}" if tier["sustained"] else ""
    return f"{tier['label']}{rule}: {_held(tier['held'])}{waits}", below


def _part(tree: Mapping[str, Any], metrics: Metrics, seen: set[str]) -> Branch:
    if "entry" in tree:
        entry = tree["entry"]
        below = [_metric(entry["comes_from"], metrics, seen)] if entry["comes_from"] in metrics else []
        word = "undecided" if entry["undecided"] else "met    " if tree["held"] else "missing"
        return f"{word} {_entry(entry, _of(entry, metrics))}", below
    name = JUNCTIONS.get(tree["junction"]) or f"at least {tree['count']} of"
    must = [_short(part) for part in tree["parts"] if part["path"] in tree["including"]]
    name += f", with {' and '.join(must)} among them" if must else ""
    return f"{name}: {_held(tree['held'])}", [_part(part, metrics, seen) for part in tree["parts"]]


def _short(tree: Mapping[str, Any]) -> str:
    """A criterion or group by its metric or its place."""
    return str(tree["entry"]["metric"]) if "entry" in tree else f"[{tree['path']}]"


def _of(entry: Mapping[str, Any], metrics: Metrics) -> Mapping[str, Any]:
    """The metric of an entry, where it is told."""
    return metrics.get(entry["comes_from"], {}) if entry["comes_from"] else {}


def _entry(entry: Mapping[str, Any], metric: Mapping[str, Any]) -> str:
    exempt = ", exempt" if entry.get("exempt") else ""
    return f"{entry['metric']} = {_told(entry['value'], metric)}, {_required(entry, metric)}{exempt} [{entry['path']}]"


def _required(entry: Mapping[str, Any], metric: Mapping[str, Any]) -> str:
    """What a criterion asks; inside `none` it must not hold."""
    comparison = Comparison(entry["comparison"])
    value = _told(entry["required"], metric)
    if metric.get("tiers"):
        before, after = OF_TIERS[comparison]
        return f"required {'not ' if entry['turned'] else ''}{before}{value}{after}"
    word = "" if comparison is Comparison.EQ and not entry["turned"] else NEEDS[comparison]
    if entry["turned"]:
        word = f"not {word or 'at least '}"
    return f"required {word}{value}"


def _held(held: bool | None) -> str:
    return "undecided" if held is None else "holds" if held else "does not hold"


def _told(value: object, metric: Mapping[str, Any]) -> str:
    """A value in words; percents in hundredths, cut so that 34.999 never reads as 35, and positions as tiers."""
    if value is None:
        return "unknown"
    text = str(value)
    if metric.get("tiers"):
        return {str(at): name or text for at, name in enumerate(("none", *metric["tiers"]))}.get(text, text)
    if metric.get("unit") == "percent":
        return f"{(Decimal(text) * 100).quantize(Decimal('0.01'), ROUND_DOWN).normalize():f} %"
    return {"true": "yes", "false": "no"}.get(text.lower(), text)


def _why_not(told: Mapping[str, Any], metrics: Metrics) -> Branch:
    if told["held"]:
        head = f"why not {told['label']}: its numbers are there"
    elif len(told["paths"]) == 1:
        head = f"why not {told['label']}: {_missing(told['paths'][0], metrics)}"
        return head, [(line, ()) for line in told["besides"]]
    else:
        head = f"why not {told['label']}: none of {len(told['paths'])} paths is met"
    below: list[Branch] = [(line, ()) for line in told["besides"]]
    if not told["held"]:
        below += [
            (f"path {at}: {_missing(path, metrics)}", ()) for at, path in enumerate(told["paths"][:SHOWN_PATHS], 1)
        ]
        if len(told["paths"]) > SHOWN_PATHS:
            below.append((f"and {len(told['paths']) - SHOWN_PATHS} more paths (--json lists every one)", ()))
    return head, below


def _missing(path: Mapping[str, Any], metrics: Metrics) -> str:
    lines = []
    for entry in path["missing"]:
        metric = _of(entry, metrics)
        is_distance = entry["missing"] is not None and not metric.get("tiers")
        distance = f", {_told(entry['missing'], metric)} missing" if is_distance else ""
        lines.append(f"{entry['metric']} = {_told(entry['value'], metric)}, {_required(entry, metric)}{distance}")
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
        return f"{key} = {_told(metric['value'], metric)} (see above)", ()
    seen.add(key)
    given = f", given by {metric['given_by']}" if metric.get("given_by") else ""
    head = f"{key} = {_told(metric['value'], metric)}: {metric['how']}{given}{_window_words(metric.get('window'))}"
    below = [_metric(other, metrics, seen) for other in metric["built_on"] if other in metrics]
    below += list(_records(metric.get("records", ())))
    below += [_group(group) for group in metric.get("groups", ())]
    return head, below


def _group(group: Mapping[str, Any]) -> Branch:
    conditions = [
        (f"{one['asks']}{_window_words(one['window'])}", list(_records(one["records"]))) for one in group["conditions"]
    ]
    return group["value"], conditions


def _records(records: Sequence[Mapping[str, Any]]) -> Iterator[Branch]:
    for record in records[:SHOWN_RECORDS]:
        amount = "" if record["value"] is None else f"  {record['value']}"
        lost = "  lost: no exchange rate or no row of a reference" if record["lost"] else ""
        yield f"{record['id']}  {record['date'] or 'no date'}{amount}{lost}", ()
    if len(records) > SHOWN_RECORDS:
        yield f"and {len(records) - SHOWN_RECORDS} more ({len(records)} in all; --json lists every one)", ()


def _window_words(window: Mapping[str, Any] | None) -> str:
    if not window:
        return ""
    if "in_force_on" in window:
        tail = f" or ended within {window['or_ended_within']} before" if "or_ended_within" in window else ""
        return f", in force on {window['in_force_on']}{tail}"
    return f", {window['from'] or 'ever'} to {window['until']}"
