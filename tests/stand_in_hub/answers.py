"""What the Hub and its storage answer to each request."""

import base64
import hashlib
import json
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import parse_qs, urlencode

import yaml  # type: ignore[import-untyped]
from starlette.responses import JSONResponse, Response

from tests.stand_in_hub.store import Blob, RefusedError, Repo, StandInHub, card_data, goes_to_lfs

Json = dict[str, Any] | list[dict[str, Any]]


@dataclass(frozen=True)
class Call:
    """A request, with a method for each answer; `parts` are what the route names."""

    hub: StandInHub
    method: str
    path: str
    query: Mapping[str, list[str]]
    headers: Mapping[str, str]
    body: bytes
    parts: Mapping[str, str] = field(default_factory=dict)

    @property
    def asked(self) -> str:
        """The query as it was written."""
        return f"?{urlencode(self.query, doseq=True)}" if self.query else ""

    @property
    def json(self) -> Any:
        return json.loads(self.body or b"{}")

    @property
    def revision(self) -> str:
        return self.parts.get("revision", "main")

    @property
    def user(self) -> str | None:
        token = self.headers.get("authorization", "").removeprefix("Bearer ")
        if token and token not in self.hub.users:
            raise RefusedError(401, "Invalid credentials in Authorization header")
        return self.hub.users.get(token)

    @property
    def repo(self) -> Repo:
        return self.hub.visible(self.parts.get("kind", "model"), self.parts["id"], self.user)

    def signed_in(self) -> str:
        if self.user is None:
            raise RefusedError(401, "Invalid username or password.")
        return self.user

    def writable_repo(self) -> Repo:
        """The repo, to write into; by pull request all users may."""
        proposed = "create_pr" in self.query or self.revision.startswith("refs/pr/")
        if self.signed_in() != self.repo.namespace and not proposed:
            raise RefusedError(
                403, "Forbidden: pass `create_pr=1` as a query parameter to create a Pull Request"
            )
        return self.repo

    def whoami(self) -> Json:
        user = self.signed_in()
        token = self.headers["authorization"].removeprefix("Bearer ")
        rights = {"displayName": "tests", "role": "write"} | self.hub.tokens.get(token, {})
        auth = {"type": "access_token", "accessToken": rights}
        return {
            "type": "user",
            "id": user,
            "name": user,
            "fullname": user,
            "isPro": False,
            "orgs": self.hub.orgs.get(user, []),
            "auth": auth,
        }

    def create(self) -> Response:
        asked, user = self.json, self.signed_in()
        kind, namespace = asked.get("type") or "model", asked.get("organization") or user
        if user != namespace:
            raise RefusedError(
                403, f'You don\'t have the rights to a {kind} under the namespace "{namespace}"'
            )
        repo_id = f"{namespace}/{asked['name']}"
        new = Repo(
            kind,
            repo_id,
            private=asked.get("visibility") == "private" or bool(asked.get("private")),
        )
        there = self.hub.repos.setdefault((kind, repo_id), new) is not new
        new.commit("refs/heads/main", "initial commit", {".gitattributes": Blob(b"")}, user)
        answer = {"url": f"{self.hub.url}/{new.address}", "name": repo_id, "id": repo_id}
        return JSONResponse(
            answer | ({"error": "It exists already"} if there else {}),
            status_code=409 if there else 200,
        )

    def info(self) -> Json:
        """What model_info, dataset_info and space_info read."""
        repo, at = self.repo, self.repo.at(self.revision)
        card = {}
        if "README.md" in at.files:
            with suppress(yaml.YAMLError, RecursionError):
                card = card_data(at.files["README.md"].data.decode("utf-8", "replace"))
        blobs = self.query.get("blobs", ["false"])[0].lower() == "true"
        siblings = [blob.sibling(path, blobs=blobs) for path, blob in at.files.items()]
        found = {
            "author": repo.namespace,
            "sha": at.sha,
            "private": repo.private,
            "gated": "auto" if repo.gated else False,
            "disabled": False,
            "downloads": 0,
            "likes": 0,
            "tags": card.get("tags") or [],
            "cardData": card,
            "siblings": siblings,
            "model-index": card.get("model-index"),
            "lastModified": at.date,
            "createdAt": at.date,
        }
        wanted = self.query.get("expand", list(found))
        return {"_id": "0", "id": repo.id} | {
            name: value for name, value in found.items() if name in wanted
        }

    def entries(self) -> list[dict[str, Any]]:
        """All files and folders."""
        files = self.repo.at(self.revision).files
        folders = sorted(
            {str(above) for path in files for above in PurePosixPath(path).parents} - {"."}
        )
        directories = [
            {"type": "directory", "path": path, "size": 0, "oid": "0" * 40} for path in folders
        ]
        return directories + [blob.entry(path) for path, blob in files.items()]

    def tree(self) -> Json:
        folder = self.parts["below"].strip("/") + "/" if "below" in self.parts else ""
        found = [entry for entry in self.entries() if entry["path"].startswith(folder)]
        if folder and not found:
            raise RefusedError(404, f"{folder} does not exist on {self.revision}", "EntryNotFound")
        deep = self.query.get("recursive", ["false"])[0].lower() in ("1", "true")
        return [entry for entry in found if deep or "/" not in entry["path"].removeprefix(folder)]

    def paths_info(self) -> Json:
        as_json = "json" in self.headers.get("content-type", "")
        paths = self.json["paths"] if as_json else parse_qs(self.body.decode()).get("paths", [])
        return [entry for entry in self.entries() if entry["path"] in paths]

    def refs(self) -> Json:
        refs = [
            {"name": ref.split("/", 2)[2], "ref": ref, "targetCommit": sha}
            for ref, sha in self.repo.refs.items()
        ]
        heads = {
            "branches": "refs/heads/",
            "tags": "refs/tags/",
            "pullRequests": "refs/pr/",
            "converts": "refs/convert/",
        }
        return {
            name: [ref for ref in refs if ref["ref"].startswith(head)]
            for name, head in heads.items()
        }

    def commits(self) -> Json:
        return [
            {
                "id": commit.sha,
                "title": commit.title,
                "message": commit.message,
                "date": commit.date,
                "authors": [{"user": commit.author}],
            }
            for commit in self.repo.commits(self.revision)
        ]

    def preupload(self) -> Json:
        self.writable_repo().at(self.revision)
        modes = {
            f["path"]: goes_to_lfs(f["path"], base64.b64decode(f["sample"]))
            for f in self.json["files"]
        }
        return {
            "files": [
                {"path": path, "uploadMode": "lfs" if lfs else "regular", "shouldIgnore": False}
                for path, lfs in modes.items()
            ]
        }

    def lfs_batch(self) -> Json:
        self.signed_in()
        wanted = self.json["objects"]
        new = [
            {**one, "actions": {"upload": {"href": f"{self.hub.storage_url}/{one['oid']}"}}}
            for one in wanted
        ]
        return {
            "transfer": "basic",
            "objects": [
                old if old["oid"] in self.hub.storage else upload
                for old, upload in zip(wanted, new, strict=True)
            ],
        }

    def commit(self) -> Json:
        repo, user, opens = self.writable_repo(), self.signed_in(), "create_pr" in self.query
        header, *lines = (json.loads(line) for line in self.body.splitlines())
        title, message, parent = (
            header["value"].get(name) for name in ("summary", "description", "parentCommit")
        )
        base = repo.at(parent if parent and opens else self.revision)
        if parent not in (None, base.sha):
            raise RefusedError(412, "A commit has happened since. Please refresh and try again.")
        changes = dict(self.changed(line["key"], line["value"]) for line in lines)
        ref = f"refs/pr/{len(repo.pulls) + 1}" if opens else repo.ref(self.revision)
        if ref is None:
            raise RefusedError(400, f"Not a branch: {self.revision}")
        made = repo.commit(ref, title, changes, user, message, onto=base.sha)
        repo.pulls.extend([made] if opens else [])
        pull = (
            {"pullRequestUrl": f"{self.hub.url}/{repo.address}/discussions/{len(repo.pulls)}"}
            if opens
            else {}
        )
        url = f"{self.hub.url}/{repo.address}/commit/{made.sha}"
        return {"success": True, "commitOid": made.sha, "commitUrl": url, **pull}

    def changed(self, key: str, value: Any) -> tuple[str, Blob | None]:
        """What one line of a commit changes."""
        if key == "file":
            return value["path"], Blob(base64.b64decode(value["content"]))
        if key == "deletedFile":
            return value["path"], None
        if key != "lfsFile" or value["oid"] not in self.hub.storage:
            raise RefusedError(400, f"No such change: {key} of {value['path']}")
        return value["path"], Blob(self.hub.storage[value["oid"]], lfs=True)

    def validate_yaml(self) -> Response:
        try:
            card_data(self.json["content"])
        except yaml.YAMLError as error:
            return JSONResponse(
                {"errors": [{"message": str(error)}], "warnings": []}, status_code=400
            )
        return JSONResponse({"errors": [], "warnings": []})

    def resolve(self) -> Response:
        at, path = self.repo.at(self.revision), self.parts["below"].removeprefix("/")
        headers = {"X-Repo-Commit": at.sha}
        if self.repo.gated and self.user != self.repo.namespace:
            told = f"Access to {self.repo.id} is restricted. Ask for access on its page"
            raise RefusedError(403 if self.user else 401, told, "GatedRepo")
        if path not in at.files:
            raise RefusedError(404, "Entry not found", "EntryNotFound", **headers)
        blob = at.files[path]
        if not blob.lfs:
            return self.ranged(blob.data, blob.oid, headers)
        headers |= {
            "X-Linked-ETag": f'"{blob.sha256}"',
            "X-Linked-Size": str(len(blob.data)),
            "ETag": f'"{blob.oid}"',
        }
        return Response(
            status_code=302, headers=headers | {"Location": f"{self.hub.storage_url}/{blob.sha256}"}
        )

    def ranged(self, data: bytes, etag: str, headers: dict[str, str]) -> Response:
        """The bytes, or the range of them that was asked for."""
        asked = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("range", ""))
        headers |= {
            "ETag": f'"{etag}"',
            "Accept-Ranges": "bytes",
            "Content-Type": "application/octet-stream",
        }
        if asked is None:
            return Response(data, headers=headers)
        part = data[int(asked[1]) : int(asked[2] or len(data)) + 1]
        if not part:
            raise RefusedError(416, "No such range", **{"Content-Range": f"bytes */{len(data)}"})
        last = int(asked[1]) + len(part) - 1
        return Response(
            part, 206, headers | {"Content-Range": f"bytes {asked[1]}-{last}/{len(data)}"}
        )

    def discussions(self) -> Json:
        found = [
            {
                "num": num,
                "title": pull.title,
                "author": {"name": pull.author},
                "status": "open",
                "createdAt": pull.date,
                "isPullRequest": True,
                "repo": {"name": self.repo.id, "type": self.repo.kind},
            }
            for num, pull in enumerate(self.repo.pulls, 1)
        ]
        return {"count": len(found), "start": 0, "discussions": found}

    def leaderboard(self) -> Json:
        """Of a dataset with `eval.yaml`; models with a base model only where they are asked for."""
        if "eval.yaml" not in self.repo.at("main").files:
            raise RefusedError(404, "This dataset has no leaderboard")
        derived = self.query.get("base_model", ["true"])[0].lower() == "false"
        found = [
            {
                "modelId": repo.id,
                "value": entry["value"],
                "filename": path,
                "verified": False,
                "source": entry.get("source"),
                "author": {"type": "user", "name": repo.namespace, "user": repo.namespace},
                "pullRequest": pull,
                "notes": entry.get("notes"),
            }
            for repo, path, pull, entry in self.hub.results(self.repo.id)
            if derived or not base_model_of(repo)
        ]
        numbers = [one for one in found if not isinstance(one["value"], str)]
        ranked = sorted(numbers, key=lambda one: -one["value"])
        ranked += [one for one in found if isinstance(one["value"], str)]
        return [{"rank": i, **one} for i, one in enumerate(ranked, 1)]

    def storage(self) -> Response:
        """What the storage answers: objects by their SHA-256."""
        kept, oid = self.hub.storage, self.path.removeprefix("/")
        if self.method == "PUT":
            if hashlib.sha256(self.body).hexdigest() != oid:
                raise RefusedError(400, "The content has another SHA-256")
            kept[oid] = self.body
        if oid not in kept:
            raise RefusedError(404, "No such object")
        return Response() if self.method == "PUT" else self.ranged(kept[oid], oid, {})

    def answer(self) -> Response:
        """What the Hub answers."""
        for methods, shape, name in ROUTES:
            found = re.fullmatch(shape, self.path)
            if found and self.method in methods.split():
                parts = {name: part for name, part in found.groupdict().items() if part}
                if (new := self.hub.names.get(parts.get("id", ""))) is not None:
                    there = self.path.replace(parts["id"], new, 1)
                    return Response(status_code=307, headers={"Location": there + self.asked})
                said: Json | Response = getattr(replace(self, parts=parts), name)()
                return said if isinstance(said, Response) else JSONResponse(said)
        raise RefusedError(501, f"The stand-in Hub has no answer to {self.method} {self.path}")


def base_model_of(repo: Repo) -> Any:
    readme = repo.at("main").files.get("README.md")
    return card_data(readme.data.decode()).get("base_model") if readme else None


API = r"/api/(?P<kind>model|dataset|space)s/(?P<id>[^/]+/[^/]+)"
PAGES = r"/(?:(?P<kind>dataset|space)s/)?(?P<id>[^/]+/[^/]+)"
AT = r"/(?P<revision>refs/pr/\d+|[^/]+)"
ROUTES = [
    ("GET", "/api/whoami-v2", "whoami"),
    ("POST", "/api/repos/create", "create"),
    ("POST", "/api/validate-yaml", "validate_yaml"),
    ("GET", f"{API}(?:/revision{AT})?", "info"),
    ("GET", f"{API}/tree{AT}(?P<below>/.+)?", "tree"),
    ("POST", f"{API}/paths-info{AT}", "paths_info"),
    ("GET", f"{API}/refs", "refs"),
    ("GET", f"{API}/commits{AT}", "commits"),
    ("POST", f"{API}/preupload{AT}", "preupload"),
    ("POST", f"{API}/commit{AT}", "commit"),
    ("GET", f"{API}/discussions", "discussions"),
    ("GET", f"{API}/leaderboard", "leaderboard"),
    ("POST", rf"{PAGES}\.git/info/lfs/objects/batch", "lfs_batch"),
    ("GET HEAD", f"{PAGES}/resolve{AT}(?P<below>/.+)", "resolve"),
]
