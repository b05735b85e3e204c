"""The files that runs were made of, kept by content, so that a run can be computed again when they have changed."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import select

from crmsync.errors import ConfigError, StoreError
from crmsync.ledger import tables as t
from crmsync.ledger.canon import canonical
from crmsync.ledger.ledger import Ledger
from crmsync.ledger.upsert import upsert

MAIN, LISTED, PART = "main", "listed", "part"
"""The file that was configured; a file of the folder that was configured; what one of them reads."""


@dataclass(frozen=True)
class KeptFile:
    """One file. `path`: below the folder that all of them share; `role`: main, listed or part."""

    path: str
    role: str
    sha256: str
    text: str


def read_kept(configured: Path, files: Sequence[Path]) -> tuple[str, list[KeptFile]]:
    """Digest and content of the files that loading `configured` (a file, or a folder) reads. Errors: ConfigError."""
    root = Path(os.path.commonpath([file.resolve().parent for file in files]))
    kept = [_kept(file, root, configured) for file in files]
    digest = hashlib.sha256(canonical([[one.path, one.role, one.sha256] for one in kept]).encode()).hexdigest()
    return digest, kept


def _kept(file: Path, root: Path, configured: Path) -> KeptFile:
    try:
        content = file.read_bytes()
        text = content.decode("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot be kept with the run ({error}); it must be UTF-8 text", file=str(file)) from error
    role = PART
    if file.resolve() == configured.resolve():
        role = MAIN
    elif file.resolve().parent == configured.resolve():
        role = LISTED
    return KeptFile(file.resolve().relative_to(root).as_posix(), role, hashlib.sha256(content).hexdigest(), text)


def record_files(ledger: Ledger, digest: str, files: Sequence[KeptFile]) -> None:
    """Keep these files; each content once, however many runs are made of it."""
    known = select(t.config_file.c.digest).where(t.config_file.c.digest == digest).limit(1)
    with ledger.reading() as connection:
        if connection.scalar(known) is not None:
            return
    with ledger.writing() as connection:
        for one in files:
            text = {"sha256": one.sha256, "text": one.text}
            connection.execute(upsert(t.file_text).values(text).on_conflict_do_nothing())
            row = {"digest": digest, "path": one.path, "sha256": one.sha256, "role": one.role}
            connection.execute(upsert(t.config_file).values(row).on_conflict_do_nothing())


def restore_files(ledger: Ledger, digest: str, folder: Path) -> Path:
    """Write the files below `folder` and return what was configured then: a program file or a folder of them.

    Errors: StoreError when they were never kept, or are not as they were kept.
    """
    f = t.config_file
    query = select(f.c.path, f.c.role, f.c.sha256, t.file_text.c.text).join_from(
        f, t.file_text, f.c.sha256 == t.file_text.c.sha256
    )
    with ledger.reading() as connection:
        rows = connection.execute(query.where(f.c.digest == digest).order_by(f.c.path)).all()
    if not rows:
        raise StoreError(f"{ledger.place}: the program files {digest[:12]} were never kept")
    configured: Path | None = None
    for row in rows:
        content = row.text.encode("utf-8")
        place = (folder / row.path).resolve()
        if hashlib.sha256(content).hexdigest() != row.sha256 or not place.is_relative_to(folder.resolve()):
            raise StoreError(f"{ledger.place}: the kept file {row.path} of {digest[:12]} was changed")
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content)
        if row.role == MAIN:
            configured = place
        elif row.role == LISTED and configured is None:
            configured = place.parent
    assert configured is not None, "what was configured is among the files"
    return configured
