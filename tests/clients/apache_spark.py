"""Apache Spark as a Spark Connect server, with executors of its own, out of an environment of its own."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

STARTED = re.compile(r"Spark Connect server started at: .*:(\d+)")
START_S = 240.0  # 15 on an idle machine
STOP_S = 20.0
CLUSTER = "local-cluster[2,1,1024]"  # two executors, each a process of its own with one core and 1,024 MB


def spark_home(environment: Path) -> Path:
    """The folder of pyspark in a virtual environment. Errors: AssertionError when it is not there."""
    found = sorted(environment.glob("lib/python*/site-packages/pyspark/bin/spark-submit"))
    assert found, f"{environment} holds no pyspark; `make clients` installs it"
    return found[0].parent.parent


@contextmanager
def apache_spark(home: Path, work: Path) -> Iterator[str]:
    """The address of a server on loopback that stops, with its executors, at the end of the block."""
    assert shutil.which("java"), "Apache Spark needs Java 17 or newer, and there is no `java` on this machine"
    work.mkdir(parents=True, exist_ok=True)
    settings = {
        "spark.connect.grpc.binding.address": "127.0.0.1",
        "spark.connect.grpc.binding.port": "0",
        "spark.driver.host": "127.0.0.1",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.driver.memory": "1g",
        "spark.ui.enabled": "false",
        "spark.sql.shuffle.partitions": "2",
        "spark.sql.warehouse.dir": str(work / "warehouse"),
        "spark.jars.ivy": str(work / "ivy"),
    }
    options = [part for name, value in settings.items() for part in ("--conf", f"{name}={value}")]
    main = ["--class", "org.apache.spark.sql.connect.service.SparkConnectServer", "spark-internal"]
    guard = [sys.executable, str(Path(__file__).with_name("guarded.py"))]
    command = [*guard, str(home / "bin" / "spark-submit"), "--master", CLUSTER, *options, *main]
    environment = {
        **os.environ,
        "SPARK_HOME": str(home),
        "SPARK_LOCAL_IP": "127.0.0.1",
        "PYSPARK_PYTHON": sys.executable,
    }
    log = work / "server.log"
    with log.open("wb") as stream:
        server = subprocess.Popen(
            command, cwd=work, env=environment, start_new_session=True,
            stdin=subprocess.PIPE, stdout=stream, stderr=subprocess.STDOUT,
        )  # fmt: skip
        try:
            yield f"sc://127.0.0.1:{_port(server, log)}"
        finally:
            _stop(server)


def _port(server: subprocess.Popen[bytes], log: Path) -> int:
    end = time.monotonic() + START_S
    while time.monotonic() < end and server.poll() is None:
        found = STARTED.search(log.read_text(encoding="utf-8", errors="replace"))
        if found is not None:
            return int(found[1])
        time.sleep(0.2)
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    told = "\n".join([line for line in lines if " INFO " not in line][-15:])
    raise AssertionError(f"Apache Spark did not start within {START_S:.0f} s:\n{told}")


def _stop(server: subprocess.Popen[bytes]) -> None:
    """Stop the server, which stops its executors; whatever stays is ended with the group that was started for it."""
    assert server.stdin is not None
    server.stdin.close()
    with suppress(subprocess.TimeoutExpired):
        server.wait(STOP_S)
    with suppress(ProcessLookupError):  # all gone by itself
        os.killpg(server.pid, signal.SIGKILL)
    server.wait()
