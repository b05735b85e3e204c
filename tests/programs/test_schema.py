"""The JSON Schema: what loads validates, mistakes of shape do not, and its keys are those that the reader asks for."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from typer.testing import CliRunner, Result

from crmsync.cli import app
from crmsync.errors import ConfigError
from crmsync.programs import requirements, threshold_table
from crmsync.programs.loading import load_program
from crmsync.programs.schema import program_schema
from crmsync.strict_yaml import Node, decimal_of, parse_yaml, read_yaml
from crmsync.studies.case_files import read_cases
from tests.programs.texts import COLUMNS, GOOD, HEAD, LADDER

ROOT = Path(__file__).parent.parent.parent
SCHEMA = program_schema()
VALIDATOR = Draft202012Validator(SCHEMA)
FILES = [GOOD, *sorted(file for file in (ROOT / "config").rglob("*.yaml") if "\nladders:" in file.read_text("utf-8"))]
OTHERS = ROOT / "tests" / "programs" / "shapes.yaml"


def as_json(node: Node) -> Any:
    """What a YAML 1.2 reader of an editor makes of a value."""
    if isinstance(node.value, dict):
        return {key: as_json(value) for key, value in node.value.items()}
    if isinstance(node.value, list):
        return [as_json(item) for item in node.value]
    if node.quoted or node.value.endswith("%"):
        return node.value
    if node.value in ("true", "false"):
        return node.value == "true"
    number = decimal_of(node.value)
    if number is None:
        return node.value
    return int(number) if number == number.to_integral_value() and "." not in node.value else float(number)


def mistakes(text: str) -> list[str]:
    return [error.message for error in VALIDATOR.iter_errors(as_json(parse_yaml(text, "program.yaml")))]


def test_it_is_a_schema_and_goes_through_json() -> None:
    Draft202012Validator.check_schema(SCHEMA)
    assert json.loads(json.dumps(SCHEMA)) == SCHEMA


@pytest.mark.parametrize("file", [*FILES, OTHERS], ids=lambda file: file.stem)
def test_every_program_validates(file: Path) -> None:
    assert [error.message for error in VALIDATOR.iter_errors(as_json(read_yaml(file)))] == []


def test_every_key_is_described() -> None:
    missing = [path for path, shape in closed(SCHEMA) for key, one in shape["properties"].items() if not said(one)]
    assert missing == []


def said(schema: Mapping[str, Any]) -> bool:
    return bool(schema.get("description", "").strip())


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("program: channel-2026\n", ""),
        ("metrics:", "metric:"),
        ("unit: money\n", "unit: euros\n"),
        ("rolls_up: sum", "rolls_up: summ"),
        ("kind: lagging", "kind: late"),
        ("during: last 12 months}", "during: last twelve months}"),
        ("{count: opportunities, where: is_won", "{count: opportunities, sum: opportunities.amount, where: is_won"),
        ("{count: opportunities, where: is_won", "{where: is_won"),
        ("versus: 1 year earlier, ", ""),
        ("versus: 1 year earlier", "versus: 1 year ago"),
        ("of_hundred: yes", "of_hundred: maybe"),
        ('{unit: yes_no, formula: "joined', '{unit: yes_no, during: ever, formula: "joined'),
        ("climb: highest", "climb: jump"),
        ("take: {at_least: 2}", "take: {at_least: two}"),
        ("take: {at_least: 2}", "take: most"),
        ("    per: region\n", ""),
        ("from: parent,", "from: mother,"),
        ("      - key: silver\n        label", "      - label"),
        ("rank: 7", "rank: high"),
        ("                - at_least: 2\n                  of:", "                - of:"),
        ("{by: region, default: 500000, ", "{by: region, "),
        ("sustained: 6 months", "sustained: 6"),
        ("requires: {won: 1}}", "require: {won: 1}}"),
        ("headline: primary", "headline: best"),
        ("promote: fiscal quarterly", "promote: weekly"),
        ("demote: [01-15, 07-15]", "demote: [15-01, 07-15]"),
        ("grace: 90 days", "grace: long"),
        ("steps: 1", "steps: 0"),
        ("effective: after 30 days", "effective: soon"),
        ("newcomers:", "newcomer:"),
        ("reason: Earthquake", "because: Earthquake"),
        ("qualifies: any day of last 6 months", "qualifies: tomorrow"),
        ("every 12 months", "12 months"),
        ("{starts: 02-01}", "02-01"),
        ("currency: EUR\n", "currency: euro\n"),
        ("keep_until: 2027-06-30", "keep_until: June"),
        ("{field: partners.current_tier, values: {Top", "{values: {Top"),
        ("of: win_rate, bands", "from: win_rate, bands"),
        ("{0%: 3%, 50%: 10%}", "{low: 3%, 50%: 10%}"),
        ("horizon: 90 days", "horizon: 90"),
        ("tier: silver, metric: resale_revenue, value: 100000}", "tier: silver, metric: resale_revenue}"),
        ("  - name: gold needs people", "  - title: gold needs people"),
    ],
)
def test_a_mistake_of_shape_does_not_validate(old: str, new: str) -> None:
    text = GOOD.read_text(encoding="utf-8")
    assert old in text
    assert mistakes(text) == []
    assert mistakes(text.replace(old, new, 1)) != []


@pytest.mark.parametrize(
    ("metric", "is_good"),
    [
        ("{score: {parts: {a: {of: people, worth: 3, full_at: 4}}}}", True),
        ("{score: {parts: {a: {of: people, each: 3, full_at: 4}}}}", False),
        ("{score: {parts: {a: {of: people, worth: 3, each: 4}}}}", False),
        ("{score: {parts: {}}}", False),
        ("{score: {parts: {a: {of: people, each: 1 per 10, whole_units: yes}}, groups: {b: {part: [a]}}}}", False),
        ("{groups: {of: customer_id, having: {count: opportunities, at_least: 1}}}", True),
        ("{groups: {of: customer_id, having: [{count: opportunities}]}}", False),
        ("{groups: {having: [{count: opportunities, at_least: 1}]}}", False),
        ("{tier_of: {ladders: main}}", False),
        ("{held_for: {tier: gold, people: 2}}", False),
        ("{rank_of: people, within: [region, category]}", True),
        ("{rank_of: people, during: ever}", False),
    ],
)
def test_shapes_of_metrics(metric: str, is_good: bool) -> None:
    assert (mistakes(f"{HEAD}  more: {metric}\n{LADDER}") == []) is is_good


def test_every_key_that_is_misspelt_does_not_validate() -> None:
    """Each key of the good program at a place with known keys, one after the other."""
    document = as_json(read_yaml(GOOD))
    for holder, key in places(document, SCHEMA, [SCHEMA]):
        value = holder.pop(key)
        holder[f"{key}x"] = value
        assert not VALIDATOR.is_valid(document), key
        del holder[f"{key}x"]
        holder[key] = value
    assert VALIDATOR.is_valid(document)


def test_the_command_prints_it_or_saves_it(tmp_path: Path) -> None:
    shown = run("schema")
    assert (shown.exit_code, json.loads(shown.output)) == (0, SCHEMA)
    file = tmp_path / "schema.json"
    assert run("schema", "--out", str(file)).exit_code == 0
    assert json.loads(file.read_text(encoding="utf-8")) == SCHEMA
    assert isinstance(run("schema", "--out", str(tmp_path / "none" / "schema.json")).exception, ConfigError)


def run(*words: str) -> Result:
    return CliRunner().invoke(app, words)


# --- the keys of the schema and those that the reader asks for


def closed(schema: Any, path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Every shape with a fixed set of keys, with its place in the schema."""
    if isinstance(schema, dict):
        if schema.get("properties") and schema.get("additionalProperties") is False:
            yield path, schema
        for key, one in schema.items():
            yield from closed(one, f"{path}/{key}")
    elif isinstance(schema, list):
        for place, one in enumerate(schema):
            yield from closed(one, f"{path}/{place}")


def shapes(schema: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """A shape without references and alternatives."""
    if "$ref" in schema:
        yield from shapes(SCHEMA["$defs"][schema["$ref"].rsplit("/", 1)[1]])
    elif "anyOf" in schema and "properties" not in schema:
        for one in schema["anyOf"]:
            yield from shapes(one)
    else:
        yield schema


def inside(schema: Mapping[str, Any], step: str | int) -> Iterator[Mapping[str, Any]]:
    """The shapes of what stands under a key, or in a list."""
    if isinstance(step, int):
        found = [schema["items"]] if "items" in schema else []
    elif step in schema.get("properties", {}):
        found = [schema["properties"][step]]
    else:
        patterns = schema.get("patternProperties", {}).items()
        found = [one for pattern, one in patterns if re.search(pattern, step)]
        more = schema.get("additionalProperties")
        found = found or ([more] if isinstance(more, dict) else [])
    for one in found:
        yield from shapes(one)


def places(document: Any, schema: Any, found: list[Any]) -> list[tuple[dict[str, Any], str]]:
    """Holder and key of each key at a place whose keys are all known."""
    listed: list[tuple[dict[str, Any], str]] = []
    steps = (
        document.items() if isinstance(document, dict) else enumerate(document) if isinstance(document, list) else ()
    )
    for step, value in list(steps):
        below = [one for shape in found for one in inside(shape, step)]
        known = [one for one in found if one.get("properties") and one.get("additionalProperties") is False]
        free = [
            one for one in found if one.get("patternProperties") or isinstance(one.get("additionalProperties"), dict)
        ]
        if isinstance(document, dict) and known and not free:
            listed.append((document, step))
        listed += places(value, schema, below)
    return listed


class Asked:
    """The key sets that the reader asks for while programs are loaded, by the value they are asked of."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.calls: list[tuple[Node, frozenset[str], frozenset[str]]] = []
        self.tops: list[Node] = []
        original = Node.mapping

        def asked(node: Node, required: Any = (), optional: Any = None) -> dict[str, Node]:
            if isinstance(node.value, dict) and "program" in node.value:
                self.tops.append(node)
            if required or optional is not None:
                self.calls.append((node, frozenset(required), frozenset(optional or ())))
            return original(node, required, optional)

        patch.setattr(Node, "mapping", asked)

    def of(self, file: Path) -> Iterator[tuple[tuple[str | int, ...], Node, frozenset[str], frozenset[str]]]:
        """Path, value, required and optional keys for every mapping of one program file."""
        self.calls.clear()
        self.tops.clear()
        program = load_program(file, COLUMNS if file in (GOOD, OTHERS) else None)
        read_cases(program)
        paths: dict[int, tuple[str | int, ...]] = {}
        for top in self.tops:
            paths.update({id(node.value): path for path, node in every(top, ())})
        for node, required, optional in self.calls:
            if id(node.value) in paths:
                yield paths[id(node.value)], node, required, optional


def every(node: Node, path: tuple[str | int, ...]) -> Iterator[tuple[tuple[str | int, ...], Node]]:
    yield path, node
    if isinstance(node.value, dict):
        for key, one in node.value.items():
            yield from every(one, (*path, key))
    elif isinstance(node.value, list):
        for place, one in enumerate(node.value):
            yield from every(one, (*path, place))


def shape_at(path: tuple[str | int, ...]) -> list[Mapping[str, Any]]:
    found: list[Mapping[str, Any]] = [SCHEMA]
    for step in path:
        found = [one for shape in found for one in inside(shape, step)]
    return [one for one in found if one.get("type") == "object" and one.get("properties")]


def keys_of(shape: Mapping[str, Any], given: frozenset[str]) -> tuple[frozenset[str], frozenset[str]]:
    """The keys that a shape knows beside those given, and those it requires."""
    known, required = frozenset(shape["properties"]), frozenset(shape.get("required", ()))
    for rule in shape.get("allOf", ()):
        if "if" in rule and given.issuperset(rule["if"]["required"]):
            known &= frozenset(rule["then"]["propertyNames"]["enum"])
            required |= frozenset(rule["if"]["required"])
    return known, required


def test_the_schema_has_the_keys_that_the_reader_asks_for(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = Asked(monkeypatch)
    seen: set[int] = set()
    for file in (*FILES, OTHERS):
        for path, node, required, optional in asked.of(file):
            found = shape_at(path)
            if path[:1] == ("cases",) and not found:
                continue  # what a case gives and expects is free in the schema
            (shape,) = found
            known, needed = keys_of(shape, frozenset(node.mapping()))
            assert (path, known, needed) == (path, required | optional, required)
            seen.add(id(shape))
    by_hand = {"/$defs/criteria"}
    assert [path for path, shape in closed(SCHEMA) if id(shape) not in seen and path not in by_hand] == []


def test_groups_and_rows_have_the_keys_that_the_reader_knows() -> None:
    words = {str(one) for one in requirements._GROUPS} | set(requirements._COUNTED)
    assert set(SCHEMA["$defs"]["criteria"]["properties"]) == words
    row = SCHEMA["properties"]["thresholds"]["anyOf"][1]["items"]
    assert set(row["properties"]) == {*threshold_table.REQUIRED, *threshold_table.OPTIONAL}
    assert row["required"] == list(threshold_table.REQUIRED)
