"""Which file system a folder lies on: SQLite's WAL needs memory that all its users share, which no network disk has."""

from __future__ import annotations

import os
import re
from pathlib import Path

MOUNTS = Path("/proc/self/mountinfo")
NETWORK = frozenset(
    {
        "nfs", "nfs4", "cifs", "smb", "smb2", "smb3", "smbfs", "afs", "ncpfs", "coda", "ceph", "glusterfs", "lustre",
        "gpfs", "beegfs", "orangefs", "pvfs2", "davfs", "fuse.davfs", "fuse.sshfs", "fuse.glusterfs", "fuse.ceph",
        "fuse.ceph-fuse", "fuse.s3fs", "fuse.gcsfuse", "fuse.goofys", "fuse.rclone", "fuse.blobfuse", "fuse.blobfuse2",
        "fuse.mount-s3", "fuse.juicefs",
    }
)  # fmt: skip
_ESCAPED = re.compile(r"\\([0-7]{3})")


def network_file_system(folder: Path, mounts: Path = MOUNTS) -> str | None:
    """The kind of network file system `folder` lies on; None on a local disk, or where the system does not tell."""
    try:
        lines = mounts.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except OSError:
        return None  # not Linux
    path = os.path.realpath(folder)
    best, kind = "", ""
    for line in lines:
        left, _, right = line.partition(" - ")
        fields = left.split(" ")
        if len(fields) < 5 or not right:
            continue
        point = _ESCAPED.sub(lambda found: chr(int(found.group(1), 8)), fields[4])
        inside = point == "/" or path == point or path.startswith(f"{point}/")
        if inside and len(point) >= len(best):  # a later mount on the same place hides the earlier
            best, kind = point, right.split(" ")[0]
    return kind if kind in NETWORK else None
