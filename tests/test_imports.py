"""Who may import whom: the table of the architecture, and no cycles."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

PACKAGE = "crmsync"
ROOT = Path(__file__).parent.parent
BASE = frozenset({"errors", "spreadsheets", "tables", "snapshots", "strict_yaml", "failpoints", "stopping"})
DECIDING = frozenset(
    {"guards_trends", "guards_movement", "verdicts", "figures"}
    | {
        "fields",
        "guards",
        "plan",
        "wording",
        "shadow",
        "changes",
        "beside",
        "partner_safe",
        "tasks",
        "badges",
        "members",
        "amounts",
        "naming",
    }
)  # writeback's pure half
SPINE = frozenset(
    {
        "adopting",
        "proving",
        "reverting",
        "run_records",
        "belt",
        "checkpoints",
        "deploying",
        "discovering",
        "checking",
        "copying",
        "setting_up",
        "extract",
        "increments",
        "pipeline",
        "recording",
        "results",
        "run_steps",
        "past",
        "approver",
        "offline",
        "people_edits",
        "retention",
        "room",
        "schedule",
        "due",
        "state",
        "worker",
        "tasks",
        "health",
        "serving",
        "metrics",
        "embedded",
        "stages",
        "lagging",
        "plan_records",
        "previewing",
        "watching",
        "telling",
        "telling_opened",
        "notified",
        "progress",
    }
)
EDGE = frozenset(
    {"cli", "cli_ledger", "cli_options", "cli_setup", "cli_worker", "cli_notices", "exits", "reports", "__main__"}
)

# part -> the parts it may import besides itself
ALLOWED: dict[str, frozenset[str]] = {
    "errors": frozenset(),
    "failpoints": frozenset(),
    "stopping": frozenset(),
    "spreadsheets": frozenset(),
    "tables": frozenset({"errors"}),
    "strict_yaml": frozenset({"errors"}),
    "snapshots": frozenset({"errors", "tables"}),
    "settings": frozenset({"errors", "failpoints"}),
    "logs": frozenset(),
    "without_pandas": frozenset(),  # a leaf for the command line
    "metadata_schema": frozenset(),  # a leaf, for both sides of a deploy
    "configuration_conflicts": frozenset({"strict_yaml"}),
    "configuration_guards": frozenset({"errors", "strict_yaml"}),
    "configuration_notices": frozenset({"errors", "strict_yaml"}),
    "configuration_schedule": frozenset({"errors", "strict_yaml"}),
    "configuration_writing": frozenset({"strict_yaml"}),
    "configuration": frozenset(
        {
            "errors",
            "strict_yaml",
            "configuration_conflicts",
            "configuration_guards",
            "configuration_notices",
            "configuration_schedule",
            "configuration_writing",
        }
    ),
    "connectors": BASE | {"settings", "logs", "metadata_schema"},
    "programs": frozenset({"errors", "tables", "strict_yaml"}),
    "levelling": BASE | {"programs"},
    "studies": BASE | {"programs", "levelling", "connectors"},
    "ledger": frozenset({"errors", "failpoints"}),
    "sandbox": frozenset({"metadata_schema"}),
    "writeback": BASE
    | {
        "levelling",
        "programs",
        "ledger",
        "connectors",
        "metadata_schema",
        "configuration_conflicts",
        "configuration_guards",
        "configuration_writing",
    },
    "notices": BASE
    | {"programs", "ledger", "connectors", "writeback", "settings", "logs", "configuration", "configuration_notices"},
}
VENDOR_CLIENTS = ("simple_salesforce", "hubspot")


def modules() -> Iterator[tuple[str, Path]]:
    for path in sorted((ROOT / PACKAGE).rglob("*.py")):
        relative = path.relative_to(ROOT).with_suffix("")
        parts = relative.parts[:-1] if relative.name == "__init__" else relative.parts
        yield ".".join(parts), path


@cache
def imported(path: Path) -> tuple[tuple[str, bool], ...]:
    return tuple(imports_of(path))


def imports_of(path: Path) -> Iterator[tuple[str, bool]]:
    """Modules that a file imports, and whether it does so at its top (not for typing, not inside a function)."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    top = set(map(id, tree.body))
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, id(node) in top) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            assert node.level == 0, f"{path}: imports are absolute"
            yield node.module, id(node) in top
            yield from ((f"{node.module}.{alias.name}", id(node) in top) for alias in node.names)


def part_of(module: str) -> str:
    pieces = module.split(".")
    return pieces[1] if len(pieces) > 1 else PACKAGE


MODULES = dict(modules())


@pytest.mark.parametrize("part", sorted(ALLOWED))
def test_a_part_imports_only_what_the_table_allows(part: str) -> None:
    for name, path in MODULES.items():
        if part_of(name) != part:
            continue
        used = {part_of(module) for module, _ in imported(path) if module.startswith(f"{PACKAGE}.")}
        assert used <= ALLOWED[part] | {part}, f"{name} imports {sorted(used - ALLOWED[part] - {part})}"


def test_every_part_of_the_package_is_in_the_table() -> None:
    parts = {part_of(name) for name in MODULES} - {PACKAGE}
    assert parts <= ALLOWED.keys() | SPINE | EDGE


def test_only_the_spine_and_the_edge_import_the_spine() -> None:
    for name, path in MODULES.items():
        if part_of(name) not in SPINE | EDGE:
            used = {part_of(module) for module, _ in imported(path) if module.startswith(f"{PACKAGE}.")}
            assert not used & (SPINE | EDGE), name


def test_the_deciding_half_of_writeback_does_not_act() -> None:
    for name, path in MODULES.items():
        if part_of(name) == "writeback" and name.rpartition(".")[2] in DECIDING:
            used = {part_of(module) for module, _ in imported(path) if module.startswith(f"{PACKAGE}.")}
            assert not used & {"ledger", "connectors"}, name


def test_writeback_knows_connectors_by_their_protocol_only() -> None:
    for name, path in MODULES.items():
        if part_of(name) == "writeback":
            used = {module for module, _ in imported(path) if module.startswith(f"{PACKAGE}.connectors.")}
            assert all(module.startswith(f"{PACKAGE}.connectors.base") for module in used), name


def test_vendor_clients_are_imported_in_connectors_only() -> None:
    for name, path in MODULES.items():
        if not name.startswith(f"{PACKAGE}.connectors."):
            assert not [module for module, _ in imported(path) if module.split(".")[0] in VENDOR_CLIENTS], name


def test_no_module_imports_itself_in_a_circle() -> None:
    graph: dict[str, set[str]] = {}
    for name, path in MODULES.items():
        graph[name] = {module for module, at_top in imported(path) if at_top and module in MODULES and module != name}
    for name, used in graph.items():
        used.discard(name.rpartition(".")[0])  # a package is in the making while its modules are
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as cycle:
        pytest.fail(f"a circle of imports: {' -> '.join(cycle.args[1])}")
