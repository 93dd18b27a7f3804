"""The edge of a cluster: an API that runs the installing pods as processes, and a kubelet's part.

Only what installing a guard asks of an API server, over real HTTP. What the pod would do is done
by the real `python3 -m guard install`, and the guard it installs is started for real.
"""

from __future__ import annotations

import http.server
import json
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml

from guard.policy import Paths
from guard.static_pod import IMAGE_VARIABLE
from tests.guard.running import ROOT, GuardSite

JsonObject = dict[str, Any]


class ClusterApi:
    """Namespaces and pods in memory; every pod is one process that ends."""

    def __init__(self, folder: Path, nodes: list[str]) -> None:
        self.paths = {node: _node_paths(folder / node) for node in nodes}
        self.pods: dict[str, JsonObject] = {}
        self.seen_pods: list[JsonObject] = []
        self.namespaces: set[str] = set()
        self.refuse_pods = False
        self.kubelet_runs = True
        self._logs: dict[str, str] = {}
        self._guards: dict[str, subprocess.Popen[bytes]] = {}
        self._running: dict[str, str] = {}
        self._lock = threading.Lock()
        self._closed = False
        handler = type("Handler", (_Handler,), {"api": self})
        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def kubeconfig(self) -> str:
        return yaml.safe_dump(
            {
                "apiVersion": "v1",
                "kind": "Config",
                "current-context": "owner",
                "contexts": [{"name": "owner", "context": {"cluster": "c", "user": "u"}}],
                "clusters": [
                    {
                        "name": "c",
                        "cluster": {"server": f"http://127.0.0.1:{self._server.server_port}"},
                    }
                ],
                "users": [{"name": "u", "user": {"token": "owner"}}],
            }
        )

    def close(self) -> None:
        if self._closed:
            return
        self._server.shutdown()
        self._server.server_close()
        with self._lock:
            self._closed = True
        for guard in self._guards.values():
            guard.terminate()
            guard.wait(40)

    def run_pod(self, pod: JsonObject) -> None:
        name, node = pod["metadata"]["name"], pod["spec"]["nodeName"]
        self.pods[name] = pod
        self.seen_pods.append(pod)
        words = pod["spec"]["containers"][0]["command"][1:]
        done = subprocess.run(
            [sys.executable, *words, *_options(self.paths[node])],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        self._logs[name] = done.stdout + done.stderr
        with self._lock:
            if not self._closed:
                self._kubelet(node)
        pod["status"] = {"phase": "Succeeded" if done.returncode == 0 else "Failed"}

    def log(self, name: str) -> str:
        return self._logs.get(name, "")

    def _kubelet(self, node: str) -> None:
        """Run the static pod as its manifest says, and end it when the manifest is gone."""
        manifest = self.paths[node].manifests / "belay-guard.yaml"
        text = manifest.read_text(encoding="utf-8") if manifest.exists() else ""
        if text == self._running.get(node, "") or not self.kubelet_runs:
            return
        old = self._guards.pop(node, None)
        if old is not None:
            old.terminate()
            old.wait(40)
        self._running[node] = text
        if not text:
            return
        [container] = json.loads(text)["spec"]["containers"]
        environment = {item["name"]: item["value"] for item in container["env"]}
        self._guards[node] = subprocess.Popen(
            [sys.executable, *container["command"][1:], *_options(self.paths[node])],
            cwd=ROOT,
            env={"PATH": "/usr/bin:/bin", IMAGE_VARIABLE: environment[IMAGE_VARIABLE]},
            stderr=subprocess.DEVNULL,
        )


class _Handler(http.server.BaseHTTPRequestHandler):
    api: ClusterApi

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.path.endswith("/pods"):
            if self.api.refuse_pods:
                self._answer(403, {"reason": "Forbidden"})
                return
            body["status"] = {"phase": "Pending"}
            threading.Thread(target=self.api.run_pod, args=(body,), daemon=True).start()
            self.api.pods[body["metadata"]["name"]] = body
        elif body["metadata"]["name"] in self.api.namespaces:
            self._answer(409, {"reason": "AlreadyExists"})
            return
        else:
            self.api.namespaces.add(body["metadata"]["name"])
        self._answer(201, body)

    def do_GET(self) -> None:
        parts = urlsplit(self.path).path.split("/")
        if parts[-1] == "log":
            self._answer(200, self.api.log(parts[-2]))
        elif parts[-1] in self.api.pods:
            self._answer(200, self.api.pods[parts[-1]])
        else:
            self._answer(404, {"reason": "NotFound"})

    def do_DELETE(self) -> None:
        kind, name = urlsplit(self.path).path.split("/")[-2:]
        if kind == "namespaces" and name in self.api.namespaces:
            self.api.namespaces.remove(name)
            self._answer(200, {"kind": "Status"})
        elif kind == "pods" and name in self.api.pods:
            self._answer(200, self.api.pods.pop(name))
        else:
            self._answer(404, {"reason": "NotFound"})

    def _answer(self, status: int, body: object) -> None:
        plain = isinstance(body, str)
        data = (body if isinstance(body, str) else json.dumps(body)).encode()
        self.send_response(status)
        self.send_header("Content-Type", "text/plain" if plain else "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        return


def _node_paths(folder: Path) -> Paths:
    paths = Paths(
        kubernetes=folder / "kubernetes",
        state=folder / "state",
        run=folder / "run",
        proc=folder / "proc",
    )
    for path in (paths.manifests, paths.proc / "1"):
        path.mkdir(parents=True)
    GuardSite.write_boot(paths.proc, 1)
    return paths


def _options(paths: Paths) -> list[str]:
    return [f"--{name}={getattr(paths, name)}" for name in ("kubernetes", "state", "run", "proc")]
