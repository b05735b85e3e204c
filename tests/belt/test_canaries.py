"""An org that says again what it was sent: no secret comes out, on the terminal, in logs or in what a run leaves."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.belt.conftest import Crmsync

SECRET, BROUGHT = "canary+/of the=client", "00D5e!canary.brought.by.the.login"


class Echo(BaseHTTPRequestHandler):
    """Refuses everything with what it was sent. `grants`: but a login, which brings a token."""

    grants = False

    def _answer(self) -> None:
        sent = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode("utf-8", "replace")
        said = f"{self.requestline} {dict(self.headers)} {sent}"
        answer = {"error": "odd", "error_description": said, "errorCode": "ODD", "message": said}
        granted = self.grants and self.path.endswith("/oauth2/token")
        body = json.dumps({"access_token": BROUGHT} if granted else answer).encode()
        self.send_response(200 if granted else 400)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_POST = _answer  # noqa: N815

    def log_message(self, *_: object) -> None:
        """Nothing."""


@pytest.fixture(params=[False, True], ids=["refused login", "refused call"])
def echo(request: pytest.FixtureRequest) -> Iterator[int]:
    """The port of such an org."""
    kind = type("ThisEcho", (Echo,), {"grants": request.param})
    server = ThreadingHTTPServer(("127.0.0.1", 0), kind)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server.server_port
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.mark.parametrize("command", [("run",), ("run", "--json"), ("check",), ("discover", "--json"), ("adopt",)])
def test_no_secret_comes_out_of_a_refused_run(
    crmsync: Crmsync, echo: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...]
) -> None:
    assert crmsync("init", "--org", "salesforce", "--to", "config").code == 0
    with (tmp_path / "config" / "crmsync.yaml").open("a", encoding="utf-8") as stream:
        stream.write("\nnotices:\n  operator: {}\n")
    secret = tmp_path / "secret"
    secret.write_text(f"{SECRET}\n", encoding="utf-8")
    operator = f"json://u:canary-of-the-hook@127.0.0.1:{echo}/canary-path-of-the-hook?+X-Token=canary-in-a-header"
    for name, value in {
        "SALESFORCE__INSTANCE_URL": f"http://127.0.0.1:{echo}",
        "SALESFORCE__CLIENT_ID": "app",
        "SALESFORCE__CLIENT_SECRET_FILE": str(secret),
        "NOTICES__OPERATOR": operator,
        "LOG_LEVEL": "debug",
    }.items():
        monkeypatch.setenv(f"CRMSYNC_{name}", value)
    ended = crmsync(*command)
    secret.unlink()
    assert ended.code in (1, 4)
    assert "[redacted]" in ended.out + ended.err  # the org did say it again
    assert "canary" not in ended.out + ended.err
    left = [Path(folder) / name for folder, _, names in os.walk(tmp_path) for name in names]
    assert command[0] in ("check", "discover") or any(path.name == "ledger.sqlite" for path in left)
    assert not [path for path in left if b"canary" in path.read_bytes()]
