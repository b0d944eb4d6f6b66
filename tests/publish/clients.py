"""Users of the stand-in Hub: each command is a process of its own."""

import json
import os
import subprocess
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from tests import warm
from tests.stand_in_hub import StandInHub


@dataclass(frozen=True)
class Client:
    """Somebody with a cache and, perhaps, a token."""

    hub: StandInHub
    home: Path
    token: str | None = "hf_lab"
    patience: float = 8

    def env(self, **more: str) -> dict[str, str]:
        env = {
            **os.environ,
            "HF_ENDPOINT": self.hub.url,
            "HF_HOME": str(self.home),
            "HF_HUB_DISABLE_XET": "1",
            "HF_HUB_DISABLE_PROGRESS_BARS": "1",
            "STIR_HF_HUB_TIMEOUT": str(self.patience),
            "OMP_NUM_THREADS": "1",
        }
        env.pop("HF_TOKEN", None)
        return env | ({"HF_TOKEN": self.token} if self.token else {}) | more

    def python(self, code: str, *words: str, **more: str) -> str:
        """What a script prints; it must succeed."""
        done = warm.run(["-c", code, *words], self.env(**more))
        assert done.returncode == 0, done.stderr[-3000:]
        return done.stdout

    def run(self, *words: object, **more: str) -> "subprocess.CompletedProcess[str]":
        """A command of stir-hf."""
        return warm.run(["-m", "stir_hf", *map(str, words)], self.env(**more))

    def done(self, *words: object, **more: str) -> str:
        """What a command prints; it must succeed."""
        found = self.run(*words, **more)
        assert found.returncode == 0, found.stderr[-3000:]
        return found.stdout

    def json(self, *words: object, **more: str) -> Any:
        """The object that a command prints."""
        return json.loads(self.done(*words, "--json", **more))

    def refused(self, code: int, *words: object, **more: str) -> str:
        """The one line of a command that ends with an exit code."""
        found = self.run(*words, **more)
        lines = [line for line in found.stderr.splitlines() if line.startswith("stir-hf: ")]
        assert found.returncode == code, (found.returncode, found.stderr[-3000:])
        assert "Traceback" not in found.stderr, found.stderr[-3000:]
        return lines[-1]


class Worker(Client):
    """A client whose commands share a process, so that they need not load everything anew."""

    def run(self, *words: object, **more: str) -> "subprocess.CompletedProcess[str]":
        """A command of stir-hf."""
        given = [str(word) for word in words]
        asked = {"words": given, "env": self._said(more)}
        self.process.stdin.write(json.dumps(asked) + "\n")
        self.process.stdin.flush()
        answer = json.loads(self.process.stdout.readline())
        return subprocess.CompletedProcess(given, **answer)

    def _said(self, more: dict[str, str]) -> dict[str, str]:
        token = {"HF_TOKEN": self.token} if self.token else {}
        return token | {"STIR_HF_HUB_TIMEOUT": str(self.patience)} | more

    @cached_property
    def process(self) -> warm.Talking:
        """Runs until `end`."""
        return warm.talk(["-m", "tests.publish.worker"], self.env())

    def end(self) -> None:
        """End its process."""
        self.process.end()

    def by(self, token: str | None) -> "Worker":
        """Another user at the same process."""
        other = Worker(self.hub, self.home, token, self.patience)
        other.__dict__["process"] = self.process
        return other


def files_of(hub: StandInHub, repo: str, kind: str = "dataset") -> dict[str, bytes]:
    """What a repo holds on its main branch, by path."""
    return {path: blob.data for path, blob in hub.repo(kind, repo).at("main").files.items()}
