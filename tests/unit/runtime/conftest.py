"""A Hugging Face hub on this machine, as far as fetching models and opening pull requests goes."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

import pytest

if TYPE_CHECKING:
    from pathlib import Path

COMMIT = "0123456789abcdef0123456789abcdef01234567"
PULL_REQUEST = "89abcdef0123456789abcdef0123456789abcdef"


class LoopbackHub(ThreadingHTTPServer):
    """A hub with models made of folders.

    Attributes:
        models: Folders by name.
        asked: Every request, as method and path.
        commits: Lines of every commit received, by repository.
        down: Answer everything with 500.
    """

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.models: dict[str, Path] = {}
        self.asked: list[tuple[str, str]] = []
        self.commits: dict[str, list[dict]] = {}
        self.down = False

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_address[1]}"

    def fetched(self):
        """Names of the files that were sent."""
        return [
            path.split("/", 5)[5]
            for method, path in self.asked
            if method == "GET" and "/resolve/" in path
        ]


class _Handler(BaseHTTPRequestHandler):
    server: LoopbackHub

    def log_message(self, *args):
        """Say nothing."""

    def do_HEAD(self):
        self._answer()

    def do_GET(self):
        self._answer()

    def do_POST(self):
        self._answer()

    def _answer(self):
        self.server.asked.append((self.command, self.path))
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        url = urlsplit(self.path)
        parts = url.path.strip("/").split("/")
        if self.server.down:
            self._send(500, b"{}")
        elif parts[:2] == ["api", "models"]:
            self._api("/".join(parts[2:4]), parts[4:], parse_qs(url.query), body)
        elif "resolve" in parts:
            self._file("/".join(parts[:2]), parts[3], "/".join(parts[4:]))
        else:
            self._send(404, b"{}")

    def _api(self, name, rest, query, body):
        folder = self.server.models.get(name)
        if folder is None:
            self._send(404, b'{"error": "Repository not found"}', {"X-Error-Code": "RepoNotFound"})
        elif rest[:1] == ["preupload"]:
            asked = json.loads(body)["files"]
            modes = [
                {"path": file["path"], "uploadMode": "regular", "shouldIgnore": False}
                for file in asked
            ]
            self._json({"files": modes})
        elif rest[:1] == ["commit"]:
            lines = [json.loads(line) for line in body.splitlines()]
            self.server.commits.setdefault(name, []).extend(lines)
            page = f"{self.server.url}/{name}"
            made = {
                "success": True,
                "commitOid": PULL_REQUEST,
                "commitUrl": f"{page}/commit/{PULL_REQUEST}",
            }
            if query.get("create_pr") == ["1"]:
                made["pullRequestUrl"] = f"{page}/discussions/7"
            self._json(made)
        elif rest[:1] == ["tree"]:  # how newer versions of huggingface_hub list files
            files = sorted(p for p in folder.rglob("*") if p.is_file())
            self._json(
                [
                    {
                        "type": "file",
                        "path": p.relative_to(folder).as_posix(),
                        "size": p.stat().st_size,
                        "oid": hashlib.sha1(p.read_bytes()).hexdigest(),
                    }
                    for p in files
                ]
            )
        else:
            revision = "/".join(rest[1:]).replace("%2F", "/") or "main"
            commits = {
                "main": COMMIT,
                COMMIT: COMMIT,
                "refs/pr/7": PULL_REQUEST,
                PULL_REQUEST: PULL_REQUEST,
            }
            if revision not in commits:
                self._send(404, b"{}", {"X-Error-Code": "RevisionNotFound"})
                return
            files = sorted(p for p in folder.rglob("*") if p.is_file())
            siblings = [{"rfilename": p.relative_to(folder).as_posix()} for p in files]
            self._json(
                {"id": name, "modelId": name, "sha": commits[revision], "siblings": siblings}
            )

    def _file(self, name, revision, place):
        folder = self.server.models.get(name)
        path = folder / place if folder else None
        if path is None or not path.is_file():
            self._send(404, b"", {"X-Error-Code": "EntryNotFound"})
            return
        content = path.read_bytes()
        etag = hashlib.sha256(content).hexdigest()
        self._send(200, content, {"ETag": f'"{etag}"', "X-Repo-Commit": revision})

    def _json(self, content):
        self._send(200, json.dumps(content).encode(), {"Content-Type": "application/json"})

    def _send(self, status, body, headers=None):
        self.send_response(status)
        for header, value in (headers or {}).items():
            self.send_header(header, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)


@pytest.fixture
def hub():
    """A hub on the loopback interface."""
    server = LoopbackHub()
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def run_python(tmp_path):
    """Run a script in a process of its own: huggingface_hub reads its variables once."""

    def run(script, **variables):
        kept = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("HF_", "HUGGING", "NEARFIELD_"))
        }
        home = {"HF_HOME": str(tmp_path / "hf"), "NEARFIELD_CACHE_DIR": str(tmp_path / "nf")}
        quiet = {"HF_HUB_DISABLE_PROGRESS_BARS": "1", "HF_HUB_DISABLE_TELEMETRY": "1"}
        done = subprocess.run(
            [sys.executable, "-c", script],
            env={**kept, **home, **quiet, **variables},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    return run
