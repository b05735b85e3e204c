"""Readers that others wrote, as they are installed by `make clients`: their seconds, CPU, memory and rows.

Each reaches the org under the address of a real one, through a proxy that ends its TLS (as tests/clients has it).
"""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any
from urllib.parse import urlsplit

from bench.children import high_water_mb
from crmsync.sandbox.process import Org

ROOT = Path(__file__).parent.parent
CLIENTS = ROOT / os.environ.get("FOREIGN_CLIENTS", ".venv/clients")
PUBLIC_URL = "https://emu.my.salesforce.com"
PROGRAMS: Mapping[str, str] = MappingProxyType(
    {"singer tap (REST)": "singer/bin/tap-salesforce", "airbyte": "airbyte/bin/source-salesforce"}
)
_OUTSIDE = ("PATH", "LANG", "TMPDIR")
_LOOK_S = 0.2
_HEAD = 400  # the bytes of a message in which its kind stands, at its start or its end


def installed() -> list[str]:
    """The readers that are there."""
    return [name for name, program in PROGRAMS.items() if (CLIENTS / program).exists()]


def measure_foreign(name: str, org: Org, fields: Sequence[str], limit_s: float) -> dict[str, Any]:
    """seconds, cpu, rows, peak_mb, whole (False: stopped at the limit) of reading all opportunities.

    Finding out what the org has is done before the clock starts.
    """
    with tempfile.TemporaryDirectory(prefix="crmsync-bench-") as scratch, _tunnel(org, Path(scratch)) as environment:
        folder = Path(scratch)
        arguments = _READY[name](org, folder, environment, fields)
        return _measured([CLIENTS / PROGRAMS[name], *arguments], environment, folder, limit_s)


@contextmanager
def _tunnel(org: Org, folder: Path) -> Iterator[dict[str, str]]:
    """The variables of a client that takes the org for one of *.salesforce.com."""
    from tests.clients.certificates import make_certificates
    from tests.clients.tunnel import open_tunnel

    certificates = make_certificates(folder)
    port = urlsplit(org.instance_url).port
    assert port is not None
    with open_tunnel(port, certificates.server) as address:
        seen = {name: os.environ[name] for name in _OUTSIDE if name in os.environ}
        trusted = dict.fromkeys(("REQUESTS_CA_BUNDLE", "SSL_CERT_FILE"), str(certificates.authority))
        proxies = dict.fromkeys(("HTTPS_PROXY", "https_proxy"), address)
        yield seen | trusted | proxies | {"HOME": str(folder), "PYTHONUNBUFFERED": ""}


def _singer(org: Org, folder: Path, environment: Mapping[str, str], fields: Sequence[str]) -> list[str]:
    asked = {"start_date": "2000-01-01T00:00:00Z", "api_type": "REST", "select_fields_by_default": False}
    login = _login(org) | asked
    (folder / "config.json").write_text(json.dumps(login), encoding="utf-8")
    found = _said(
        [CLIENTS / PROGRAMS["singer tap (REST)"], "--config", "config.json", "--discover"], environment, folder
    )
    (stream,) = (one for one in json.loads(found)["streams"] if one["stream"] == "Opportunity")
    for entry in stream["metadata"]:
        if entry["breadcrumb"] == []:
            entry["metadata"] |= {"selected": True, "replication-method": "FULL_TABLE"}
        else:
            entry["metadata"] |= {"selected": entry["breadcrumb"][1] in fields}
    (folder / "catalog.json").write_text(json.dumps({"streams": [stream]}), encoding="utf-8")
    return ["--config", "config.json", "--properties", "catalog.json"]


def _airbyte(org: Org, folder: Path, environment: Mapping[str, str], fields: Sequence[str]) -> list[str]:
    """Airbyte reads every field of the object; it cannot be told to read fewer."""
    del fields
    criteria = [{"criteria": "exacts", "value": "Opportunity"}]
    login = _login(org) | {"auth_type": "Client", "start_date": "2026-06-15T00:00:00Z", "streams_criteria": criteria}
    (folder / "config.json").write_text(json.dumps(login), encoding="utf-8")
    found = _said([CLIENTS / PROGRAMS["airbyte"], "discover", "--config", "config.json"], environment, folder)
    (catalog,) = (one["catalog"] for one in map(json.loads, found.splitlines()) if one["type"] == "CATALOG")
    (stream,) = (one for one in catalog["streams"] if one["name"] == "Opportunity")
    chosen = {
        "stream": stream, "sync_mode": "incremental", "destination_sync_mode": "append_dedup",
        "cursor_field": ["SystemModstamp"], "primary_key": [["Id"]],
    }  # fmt: skip
    (folder / "catalog.json").write_text(json.dumps({"streams": [chosen]}), encoding="utf-8")
    return ["read", "--config", "config.json", "--catalog", "catalog.json"]


_READY: Mapping[str, Callable[[Org, Path, Mapping[str, str], Sequence[str]], list[str]]] = MappingProxyType(
    {"singer tap (REST)": _singer, "airbyte": _airbyte}
)


def _login(org: Org) -> dict[str, Any]:
    return {"client_id": org.client_id, "client_secret": org.client_secret, "refresh_token": org.refresh_token}


def _said(command: Sequence[str | Path], environment: Mapping[str, str], folder: Path) -> str:
    done = subprocess.run(
        [str(part) for part in command], env=dict(environment), cwd=folder, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise RuntimeError(f"{command} ended with {done.returncode}:\n{done.stderr[-2000:]}")
    return done.stdout


def _measured(
    command: Sequence[str | Path], environment: Mapping[str, str], folder: Path, limit_s: float
) -> dict[str, Any]:
    started = time.perf_counter()
    process = subprocess.Popen(
        [str(part) for part in command], env=dict(environment), cwd=folder, stdout=subprocess.PIPE,
        stderr=(folder / "said").open("wb"),
    )  # fmt: skip
    stopper = threading.Timer(limit_s, process.kill)
    stopper.start()
    peak = [0.0]
    watcher = threading.Thread(target=_watch, args=(process, peak), daemon=True)
    watcher.start()
    assert process.stdout is not None
    rows, last = 0, b""
    for line in process.stdout:
        if b'"RECORD"' in line[:_HEAD] or b'"RECORD"' in line[-_HEAD:]:
            rows += 1
        else:
            last = line
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    seconds = time.perf_counter() - started
    stopped = not stopper.is_alive()
    stopper.cancel()
    watcher.join()
    process.stdout.close()
    if process.returncode and not stopped:
        told = (folder / "said").read_text(encoding="utf-8")[-2000:] or last.decode()[-2000:]
        raise RuntimeError(f"{command[0]} ended with {process.returncode}:\n{told}")
    cpu = usage.ru_utime + usage.ru_stime
    return {"seconds": seconds, "cpu": cpu, "rows": rows, "peak_mb": peak[0], "whole": not stopped}


def _watch(process: subprocess.Popen[bytes], peak: list[float]) -> None:
    while process.returncode is None:
        try:
            peak[0] = max(peak[0], high_water_mb(process.pid) or 0.0)
        except (OSError, StopIteration):
            return  # it has ended
        time.sleep(_LOOK_S)
