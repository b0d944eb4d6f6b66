"""A small Hub on 127.0.0.1 that serves folders: the reading half of the API that the tests need."""

import hashlib
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Route

Repos = dict[str, dict[str, Path]]
"""`models/a/b` or `datasets/a/b` to branch to folder."""


def commit_of(repo: str, branch: str) -> str:
    """The commit that a branch of a repo is at."""
    return hashlib.sha1(f"{repo}@{branch}".encode()).hexdigest()


@dataclass(frozen=True)
class _Found:
    repo: str
    commit: str
    folder: Path

    def info(self) -> dict[str, Any]:
        names = [{"rfilename": entry["path"]} for entry in self.tree()]
        name = self.repo.partition("/")[2]
        return {"id": name, "_id": "0", "sha": self.commit, "private": False, "tags": [], "downloads": 0, "likes": 0,
                "siblings": names, "cardData": {}, "gated": False, "disabled": False,
                "lastModified": "2026-01-01T00:00:00.000Z", "createdAt": "2026-01-01T00:00:00.000Z"}  # fmt: skip

    def tree(self, below: str = "") -> list[dict[str, Any]]:
        files = sorted(p for p in self.folder.rglob("*") if p.is_file())
        entries: list[dict[str, Any]] = [
            {"type": "file", "path": p.relative_to(self.folder).as_posix(), "size": p.stat().st_size, "oid": _oid(p)}
            for p in files
        ]
        return [entry for entry in entries if entry["path"].startswith(below)]

    def paths(self, wanted: list[str]) -> list[dict[str, Any]]:
        folders = {p.relative_to(self.folder).as_posix() for p in self.folder.rglob("*") if p.is_dir()}
        files = [entry for entry in self.tree() if entry["path"] in wanted]
        return files + [{"type": "directory", "path": p, "oid": "0" * 40} for p in wanted if p in folders]


class StandInHub:
    """Repos by name; `url` is what HF_ENDPOINT must be."""

    def __init__(self, repos: Repos) -> None:
        self.repos = repos
        self.url = ""
        self.seen: list[str] = []
        self.app = Starlette(routes=[Route("/{path:path}", self.answer, methods=["GET", "HEAD", "POST"])])

    async def answer(self, request: Request) -> Response:
        path = request.path_params["path"]
        self.seen.append(f"{request.method} {path}")
        parts = path.removeprefix("api/").split("/")
        kind = parts.pop(0) if parts[0] in ("models", "datasets") else "models"
        repo, rest = "/".join([kind, *parts[:2]]), parts[2:] or ["revision", "main"]
        if repo not in self.repos:
            return _missing("RepoNotFound", "Repository not found")
        branches = self.repos[repo]
        if rest == ["refs"]:
            refs = [{"name": b, "ref": f"refs/heads/{b}", "targetCommit": commit_of(repo, b)} for b in branches]
            return JSONResponse({"branches": refs, "tags": [], "converts": []})
        what, revision, below = rest[0], rest[1], "/".join(rest[2:])
        branch = next((b for b in branches if revision in (b, commit_of(repo, b))), None)
        if branch is None:
            return _missing("RevisionNotFound", f"Invalid rev id: {revision}")
        return await _read(_Found(repo, commit_of(repo, branch), branches[branch]), what, below, request)


async def _read(found: _Found, what: str, below: str, request: Request) -> Response:
    if what == "revision":
        return JSONResponse(found.info())
    if what == "tree":
        return JSONResponse(found.tree(below))
    if what == "paths-info":
        return JSONResponse(found.paths((await request.json())["paths"]))
    file = found.folder / below
    if what != "resolve" or not file.is_file():
        return _missing("EntryNotFound", "Entry not found", {"X-Repo-Commit": found.commit})
    return FileResponse(file, headers={"ETag": f'"{_oid(file)}"', "X-Repo-Commit": found.commit})


def _missing(code: str, text: str, more: dict[str, str] | None = None) -> Response:
    headers = {"X-Error-Code": code, "X-Error-Message": text, **(more or {})}
    return JSONResponse({"error": text}, status_code=404, headers=headers)


def _oid(path: Path) -> str:
    return hashlib.sha1(path.read_bytes()).hexdigest()


@contextmanager
def serve(repos: Repos) -> Iterator[StandInHub]:
    """Run the Hub in a thread, on a port of the system's choice."""
    hub = StandInHub(repos)
    server = uvicorn.Server(uvicorn.Config(hub.app, host="127.0.0.1", port=0, log_level="error", lifespan="off", ws="none"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    hub.url = f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    try:
        yield hub
    finally:
        server.should_exit = True
        thread.join()
