"""Program files to start from, as they ship with the package."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path

from crmsync.errors import ConfigError, StoreError
from crmsync.strict_yaml import nearest, parse_yaml

PACKAGE, FOLDER = "crmsync", ("templates", "programs")


@dataclass(frozen=True)
class Template:
    """One program to start from. `files`: file name -> text; the program stands first."""

    name: str
    label: str
    means: str
    files: Mapping[str, str]


def templates() -> dict[str, Template]:
    """All templates by name."""
    folder = files(PACKAGE).joinpath(*FOLDER)
    names = sorted(one.name for one in folder.iterdir())
    found = {}
    for name in names:
        stem, _, ending = name.rpartition(".")
        if ending == "yaml":
            beside = [one for one in names if one != name and one.startswith(f"{stem}-") and not one.endswith(".yaml")]
            found[stem] = _template(stem, folder, [name, *beside])
    return found


def _template(name: str, folder: Traversable, names: Sequence[str]) -> Template:
    texts = {one: folder.joinpath(one).read_text(encoding="utf-8") for one in names}
    top = parse_yaml(texts[names[0]], names[0]).mapping()
    label, means = (top[key].text() if key in top else "" for key in ("label", "means"))
    return Template(name, label, means, texts)


def write_template(name: str, folder: Path) -> list[Path]:
    """Write the files of a template; the program's path is the first. Errors: ConfigError for an unknown name or a file
    that is there already (nothing is written then), StoreError."""
    known = templates()
    if name not in known:
        raise ConfigError(f"--template {name}: there is no such template{nearest(name, known)}; {_listed(known)}")
    paths = [folder / one for one in known[name].files]
    for path in paths:
        if path.exists():
            raise ConfigError(f"{path} is there already; nothing was written. Take another folder with --to")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for path, text in zip(paths, known[name].files.values(), strict=True):
            with path.open("x", encoding="utf-8") as stream:
                stream.write(text)
    except FileExistsError as error:
        raise ConfigError(f"{error.filename} is there already; nothing else was written") from error
    except OSError as error:
        raise StoreError(f"{folder}: cannot be written: {error.strerror or error}") from error
    return paths


def _listed(known: Mapping[str, Template]) -> str:
    return f"there are {', '.join(known)}"
