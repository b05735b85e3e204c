"""The project as a whole: what may stand in its files, what the wheel holds, how fast the command line can start."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

TEXT = {".py", ".toml", ".txt", ".md", ".yaml", ".yml", ".sql", ".csv", ".cfg", ".ini", ".json", ""}
INDEX_HOST = re.compile(
    r"pypi\.org|pythonhosted|/simple/?(?=\s|$|\")|index-url|find-links|registry\.npmjs|--registry", re.I
)
MACHINE_PATH = re.compile(r"/(?:root|home/\w+|Users/\w+|work)/|[A-Z]:\\\\Users")
HEAVY = (
    "pyarrow",
    "duckdb",
    "sqlglot",
    "sqlalchemy",
    "simple_salesforce",
    "starlette",
    "uvicorn",
    "faker",
    "pydantic",
    "rich",
    "requests",
    "numpy",
    "jinja2",
)


def tracked(project: Path) -> Iterator[Path]:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=project, capture_output=True, check=True).stdout.decode()
    yield from (project / name for name in listed.split("\0") if name and (project / name).is_file())


def texts(project: Path) -> Iterator[tuple[Path, str]]:
    for path in tracked(project):
        if path.suffix in TEXT and path != Path(__file__):
            yield path, path.read_text(encoding="utf-8", errors="replace")


def test_no_file_carries_a_package_index_address(project: Path) -> None:
    found = [str(path) for path, text in texts(project) if path.name != "LICENSE" and INDEX_HOST.search(text)]
    assert found == []


def test_no_file_carries_a_path_of_one_machine(project: Path) -> None:
    found = [f"{path}: {match.group()}" for path, text in texts(project) if (match := MACHINE_PATH.search(text))]
    assert found == []


def test_constraints_hold_names_and_versions_only(project: Path) -> None:
    lines = (project / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pins = [line for line in lines if not line.startswith("#")]
    assert all(re.fullmatch(r"[A-Za-z0-9._-]+==[0-9][A-Za-z0-9.]*", pin) for pin in pins), pins
    names = [pin.split("==")[0].lower() for pin in pins]
    assert len(names) == len(set(names))


def requirements(project: Path) -> list[str]:
    content = tomllib.loads((project / "pyproject.toml").read_text(encoding="utf-8"))
    extras = [one for group in content["project"]["optional-dependencies"].values() for one in group]
    return [*content["project"]["dependencies"], *extras, *content["dependency-groups"]["dev"]]


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def test_every_direct_dependency_is_pinned_and_has_its_reason(project: Path) -> None:
    pins = (project / "constraints.txt").read_text(encoding="utf-8")
    pinned = {normal(line.split("==")[0]) for line in pins.splitlines() if "==" in line}
    reasons = (project / "docs" / "dependencies.md").read_text(encoding="utf-8").lower()
    for requirement in requirements(project):
        name = normal(re.split(r"[<>=!~\[]", requirement)[0])
        assert name in pinned, f"{name} has no pinned version"
        assert name in reasons.replace("ruamel.yaml", "ruamel-yaml"), f"{name} has no reason in docs/dependencies.md"


def test_the_wheel_holds_configuration_migrations_and_schemas(project: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    subprocess.run([*command, "--wheel-dir", str(tmp_path), str(project)], check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    for wanted in ("crmsync/config/crmsync.yaml", "crmsync/config/connectors/salesforce.yaml", "crmsync/py.typed"):
        assert wanted in names
    assert "crmsync/config/programs/channel.yaml" in names
    assert {"crmsync/templates/programs/reseller.yaml", "crmsync/templates/guide/guide.html.j2"} <= set(names)
    page = {f"crmsync/sandbox/page/templates/{name}" for name in ("base.html", "record.html", "form.html", "style.css")}
    assert page <= set(names)
    assert any(name.startswith("crmsync/ledger/migrations/versions/v0001") for name in names)
    assert not [name for name in names if name.startswith("tests/")]
    assert any(name.endswith("licenses/LICENSE") for name in names)


@pytest.mark.parametrize("arguments", [["--help"], ["--version"]])
def test_help_imports_no_heavy_module(arguments: list[str]) -> None:
    code = (
        "import sys\n"
        "from crmsync.cli import main\n"
        f"sys.argv = ['crmsync', *{arguments!r}]\n"
        "try:\n    main()\n"
        "except SystemExit:\n    pass\n"
        f"print([name for name in {HEAVY!r} if name in sys.modules], file=sys.stderr)\n"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ended.stderr.splitlines()[-1] == "[]"


def test_the_licence_is_apache(project: Path) -> None:
    assert "Apache License" in (project / "LICENSE").read_text(encoding="utf-8")[:200]


def test_the_container_runs_as_an_ordinary_user(project: Path) -> None:
    dockerfile = (project / "Dockerfile").read_text(encoding="utf-8")
    assert re.search(r"^USER \d{4,}:\d{4,}$", dockerfile, re.M)
    assert re.findall(r"^VOLUME (.*)$", dockerfile, re.M) == ["/state"]
