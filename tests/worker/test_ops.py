"""The files of ops/ and the Dockerfile: they parse, name what exists, and give away no right that is not needed."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from configparser import ConfigParser
from pathlib import Path
from typing import Any

import pytest
import typer.main
from cronsim import CronSim
from ruamel.yaml import YAML

from crmsync.cli import app
from crmsync.settings import Settings, variable_names
from crmsync.stopping import PATIENCE_S
from tests.worker.facts import MONDAY

PORT = int(Settings.model_fields["listen"].default.rpartition(":")[2])
UNITS = ("crmsync.service", "crmsync-once.service", "crmsync-once.timer")


@pytest.fixture(scope="module")
def ops(project: Path) -> Path:
    return project / "ops"


def documents(path: Path) -> list[dict[str, Any]]:
    return list(YAML(typ="safe", pure=True).load_all(path.read_text(encoding="utf-8")))


def of_kind(path: Path, kind: str) -> dict[str, Any]:
    (found,) = (one for one in documents(path) if one["kind"] == kind)
    return found


def pod(ops: Path, name: str) -> dict[str, Any]:
    """The pod of a manifest."""
    if name == "deployment.yaml":
        spec: dict[str, Any] = of_kind(ops / "kubernetes" / name, "Deployment")["spec"]["template"]["spec"]
        return spec
    job = of_kind(ops / "kubernetes" / name, "CronJob")["spec"]["jobTemplate"]["spec"]
    inner: dict[str, Any] = job["template"]["spec"]
    return inner


def check_call(arguments: list[str]) -> None:
    """The command and its flags exist."""
    command = typer.main.get_command(app).commands[arguments[0]]  # type: ignore[attr-defined]
    flags = {flag for parameter in command.params for flag in parameter.opts}
    assert set(arguments[1:]) <= flags


def check_variables(names: list[str]) -> None:
    """Every variable is a setting, and no secret stands in the open."""
    assert names
    assert set(names) <= set(variable_names())
    assert not [
        name for name in names if re.search(r"(SECRET|TOKEN|_URL)$", name) and not name.endswith("INSTANCE_URL")
    ]


MANIFESTS = pytest.mark.parametrize("name", ["deployment.yaml", "cronjob.yaml"])


@MANIFESTS
def test_a_pod_fits_the_restricted_profile(ops: Path, name: str):
    spec = pod(ops, name)
    (container,) = spec["containers"]
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["securityContext"]["runAsUser"] >= 10_000
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert spec["automountServiceAccountToken"] is False
    assert not {"hostNetwork", "hostPID", "hostIPC"} & spec.keys()
    kinds = {kind for volume in spec["volumes"] for kind in volume if kind != "name"}
    assert kinds <= {"configMap", "secret", "emptyDir", "persistentVolumeClaim"}


@MANIFESTS
def test_a_pod_writes_to_its_state_and_tmp_only(ops: Path, name: str):
    spec = pod(ops, name)
    mounts = {mount["mountPath"]: mount for mount in spec["containers"][0]["volumeMounts"]}
    assert {path for path, mount in mounts.items() if not mount.get("readOnly")} == {"/state", "/tmp"}
    volumes = {volume["name"]: volume for volume in spec["volumes"]}
    assert {mount["name"] for mount in mounts.values()} == volumes.keys()
    claim = of_kind(ops / "kubernetes" / "state.yaml", "PersistentVolumeClaim")
    assert volumes["state"]["persistentVolumeClaim"]["claimName"] == claim["metadata"]["name"]
    secret = of_kind(ops / "kubernetes" / "secret.example.yaml", "Secret")
    assert volumes["secrets"]["secret"]["secretName"] == secret["metadata"]["name"]
    (given,) = (one for one in spec["containers"][0]["env"] if one["name"].endswith("_FILE"))
    assert given["value"].removeprefix("/secrets/") in secret["stringData"]


@MANIFESTS
def test_a_pod_calls_what_exists_and_has_time_to_stop(ops: Path, project: Path, name: str):
    spec = pod(ops, name)
    (container,) = spec["containers"]
    check_call(container["args"])
    check_variables([one["name"] for one in container["env"]])
    assert spec["terminationGracePeriodSeconds"] >= PATIENCE_S + 3
    (config,) = (volume["configMap"] for volume in spec["volumes"] if "configMap" in volume)
    assert all((project / "config" / item["path"]).is_file() for item in config["items"])


def test_the_resident_pod_is_alone_and_is_asked_at_the_right_place(ops: Path):
    deployment = of_kind(ops / "kubernetes" / "deployment.yaml", "Deployment")["spec"]
    assert (deployment["replicas"], deployment["strategy"]) == (1, {"type": "Recreate"})
    (container,) = deployment["template"]["spec"]["containers"]
    assert container["ports"] == [{"name": "pages", "containerPort": PORT}]
    probes = {probe: container[f"{probe}Probe"]["httpGet"]["path"] for probe in ("startup", "liveness", "readiness")}
    assert probes == {"startup": "/healthz", "liveness": "/healthz", "readiness": "/readyz"}
    assert deployment["template"]["metadata"]["annotations"]["prometheus.io/port"] == str(PORT)
    assert {"name": "CRMSYNC_LISTEN", "value": f"0.0.0.0:{PORT}"} in container["env"]


def test_the_cron_job_never_overlaps_and_leaves_trying_again_to_the_ledger(ops: Path):
    job = of_kind(ops / "kubernetes" / "cronjob.yaml", "CronJob")["spec"]
    assert job["concurrencyPolicy"] == "Forbid"
    assert 0 < job["startingDeadlineSeconds"] < 100 * 600  # a hundred missed starts would stop it for good
    assert job["jobTemplate"]["spec"]["backoffLimit"] == 0
    assert job["jobTemplate"]["spec"]["template"]["spec"]["restartPolicy"] == "Never"
    next(CronSim(job["schedule"], MONDAY))


def test_compose_runs_it_with_as_few_rights(ops: Path):
    (whole,) = documents(ops / "compose" / "docker-compose.yaml")
    service = whole["services"]["crmsync"]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["ports"] == [f"127.0.0.1:{PORT}:{PORT}"]
    assert int(service["stop_grace_period"].removesuffix("s")) >= PATIENCE_S + 3
    check_call(service["command"])
    check_variables(list(service["environment"]))
    assert (ops / "compose" / service["build"]["context"] / "Dockerfile").resolve().is_file()
    assert set(service["secrets"]) == whole["secrets"].keys()


def unit(ops: Path, name: str) -> ConfigParser:
    parser = ConfigParser(strict=False, interpolation=None)
    parser.optionxform = str  # type: ignore[assignment, method-assign]
    parser.read_string((ops / "systemd" / name).read_text(encoding="utf-8"))
    return parser


@pytest.mark.parametrize("name", UNITS[:2])
def test_a_service_has_few_rights_and_time_to_stop(ops: Path, name: str):
    service = unit(ops, name)["Service"]
    assert service["User"] == "crmsync"
    assert service["CapabilityBoundingSet"] == ""
    wanted = {"NoNewPrivileges": "yes", "ProtectSystem": "strict", "PrivateTmp": "yes", "KillMode": "mixed"}
    assert {key: service[key] for key in wanted} == wanted
    assert int(service["TimeoutStopSec"]) >= PATIENCE_S + 3
    assert "143" in service["SuccessExitStatus"]
    check_call(service["ExecStart"].split()[1:])
    check_variables([service["Environment"].partition("=")[0]])
    assert service["Environment"].endswith(f"=%d/{service['LoadCredential'].partition(':')[0]}")


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="no systemd here")
@pytest.mark.parametrize("name", UNITS)
def test_systemd_takes_the_units(ops: Path, tmp_path: Path, name: str):
    for one in UNITS:
        text = (ops / "systemd" / one).read_text(encoding="utf-8")
        (tmp_path / one).write_text(text.replace("/opt/crmsync/bin/crmsync", sys.executable), encoding="utf-8")
    checked = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(tmp_path / name)], capture_output=True, text=True, check=False
    )
    ours = [line for line in checked.stderr.splitlines() if "crmsync" in line]
    assert (checked.returncode, ours) == (0, [])


def test_the_settings_of_systemd_and_cron_exist(ops: Path):
    lines = (ops / "systemd" / "crmsync.env").read_text(encoding="utf-8").splitlines()
    check_variables([line.partition("=")[0] for line in lines if line and not line.startswith("#")])


def test_the_line_of_cron_is_one(ops: Path):
    lines = (ops / "cron" / "crmsync").read_text(encoding="utf-8").splitlines()
    (line,) = (one for one in lines if one and not one.startswith("#") and not re.match(r"[A-Z]+=", one))
    *fields, user, command = line.split(None, 6)
    next(CronSim(" ".join(fields), MONDAY))
    assert user == "crmsync"
    found = re.search(r"exec \S+/crmsync (.*?) *>>", command)
    assert found is not None
    check_call(found[1].split())
    assert "%" not in command  # cron would end the command there


def test_the_image_is_nobody_and_asks_for_its_health(project: Path):
    text = (project / "Dockerfile").read_text(encoding="utf-8")
    (health,) = re.findall(r'^HEALTHCHECK .* CMD \["crmsync", "(.*)"\]$', text, re.M)
    check_call(health.split('", "'))
    (command,) = re.findall(r'^CMD \["(.*)"\]$', text, re.M)
    check_call(command.split('", "'))
    assert re.search(rf"^EXPOSE {PORT}$", text, re.M)
    assert re.search(r"^USER \d{5,}:\d{5,}$", text, re.M)


def test_every_file_and_every_metric_is_in_the_docs(project: Path, ops: Path):
    page = (project / "docs" / "worker.md").read_text(encoding="utf-8")
    assert [path.name for path in _files(ops) if path.name not in page] == []
    metrics = re.findall(r'"(crmsync_\w+)"', (project / "crmsync" / "metrics.py").read_text(encoding="utf-8"))
    assert len(metrics) > 10
    assert [name for name in metrics if f"`{name}`" not in page] == []


def _files(folder: Path) -> Iterator[Path]:
    return (path for path in folder.glob("*/*") if path.is_file() and path.suffix != ".pyc")
