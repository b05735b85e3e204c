"""Keeps pandas out of a command that has no use for it.

pyarrow looks for pandas once per process and imports it wherever it is installed, which takes a part of every start and
some 40 MB. So it is made to look, as soon as it is there, while pandas cannot be seen; whoever imports pandas by
itself, as Spark does, gets it.
"""

from __future__ import annotations

import sys
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from typing import Any


class _AfterPyarrow(MetaPathFinder):
    """Acts before the first module of ours that is imported after pyarrow, and then goes."""

    def __init__(self) -> None:
        self._looking = False

    def find_spec(self, fullname: str, path: object = None, target: object = None) -> ModuleSpec | None:  # noqa: ARG002
        """Nothing: the next finder is asked. Errors: ModuleNotFoundError for pandas while pyarrow looks."""
        if self._looking and fullname == "pandas":
            raise ModuleNotFoundError("pandas is not needed here", name=fullname)
        pyarrow: Any = sys.modules.get("pyarrow")
        if not self._looking and fullname.startswith("crmsync.") and hasattr(pyarrow, "array"):
            self._looking = True
            try:
                pyarrow.array([""])
            finally:
                sys.meta_path.remove(self)
        return None


def keep_pandas_out() -> None:
    """For a process of the command line, before it imports anything heavy; a library leaves the process as it is."""
    if not any(isinstance(one, _AfterPyarrow) for one in sys.meta_path):
        sys.meta_path.insert(0, _AfterPyarrow())
