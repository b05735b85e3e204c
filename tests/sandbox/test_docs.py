"""The examples of docs/sandbox.md are taken by the org."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from crmsync.sandbox.error_table import ERRORS, JOB_ERRORS, LOGIN_ERRORS
from crmsync.sandbox.faults import KEYS, Faults
from crmsync.sandbox.formula_functions import FUNCTIONS
from crmsync.sandbox.furnishing import open_org
from crmsync.sandbox.org import Options
from tests.sandbox.orgs import write_files

PAGE = (Path(__file__).parents[2] / "docs" / "sandbox.md").read_text(encoding="utf-8")
FAULTS = re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL)


@pytest.mark.parametrize("example", FAULTS)
def test_every_example_of_a_fault_is_taken(example: str) -> None:
    faults = Faults()
    faults.replace(json.loads(example))
    assert faults.listed


def test_every_kind_of_fault_has_an_example_and_every_error_its_name() -> None:
    used = {key for example in FAULTS for fault in json.loads(example) for key in fault["do"]}
    assert used == set(KEYS)
    for name in (*ERRORS, *LOGIN_ERRORS, *JOB_ERRORS):
        assert re.search(rf"\b{name}\b", PAGE), name


def test_the_example_of_a_schema_is_taken_and_every_function_is_named(tmp_path: Path) -> None:
    (schema,) = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    org = open_org(Options(), write_files(tmp_path, {"schema.yaml": schema}))
    assert org.schema.find("Order__c") is not None
    org.store.close()
    missing = [name for name in (*FUNCTIONS, "ISNEW", "ISCHANGED", "PRIORVALUE") if not re.search(rf"\b{name}\b", PAGE)]
    assert missing == []
