"""pandas is not imported by a command that has no use for it, and can be imported by whoever has one."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

LOOKS = """
import sys
from crmsync.without_pandas import keep_pandas_out
keep_pandas_out()
import pyarrow as pa
import crmsync.tables
assert pa.array(["a"]).to_pylist() == ["a"]
print("pandas" in sys.modules)
import pandas
print(pandas.HERE)
"""
LIBRARY = """
import sys
import crmsync.levelling.falling
print("pandas" in sys.modules)
"""


def said(code: str, folder: Path) -> list[str]:
    made = folder / "pandas"
    made.mkdir()
    (made / "__init__.py").write_text("HERE = 'here'\n__version__ = '0'\n", encoding="utf-8")
    path = f"import sys; sys.path.insert(0, {str(folder)!r})\n"
    done = subprocess.run([sys.executable, "-c", path + code], capture_output=True, text=True, check=True)
    return done.stdout.split()


def test_pyarrow_does_not_see_pandas_and_others_do(tmp_path: Path) -> None:
    assert said(LOOKS, tmp_path) == ["False", "here"]


def test_without_a_command_line_pyarrow_looks_as_ever(tmp_path: Path) -> None:
    assert said(LIBRARY, tmp_path) == ["True"]
