"""Several processes that torch.distributed joins over gloo, for code that all of them run."""

import json
import os
import socket
from dataclasses import dataclass, field
from typing import Any

from tests import warm


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


@dataclass
class Ranks:
    """Processes of one thread each, as torchrun starts them."""

    count: int
    processes: list[warm.Talking] = field(default_factory=list)

    def start(self) -> "Ranks":
        port = free_port()
        for rank in range(self.count):
            env = {
                **os.environ,
                "RANK": str(rank),
                "LOCAL_RANK": str(rank),
                "WORLD_SIZE": str(self.count),
                "LOCAL_WORLD_SIZE": str(self.count),
                "MASTER_ADDR": "127.0.0.1",
                "MASTER_PORT": str(port),
                "OMP_NUM_THREADS": "1",
                "OMP_WAIT_POLICY": "PASSIVE",
                "STIR_HF_HUB_TIMEOUT": "1",  # nothing waits for a Hub that is out of reach
            }
            self.processes.append(warm.talk(["-m", "tests.processes.rank"], env))
        return self

    def tell(self, code: str, **names: Any) -> None:
        """Let all of them run this code."""
        for process in self.processes:
            process.stdin.write(json.dumps({"code": code, "names": names}) + "\n")
            process.stdin.flush()

    def answers(self) -> list[dict[str, Any]]:
        """What came of it, by rank."""
        found = []
        for process in self.processes:
            found.append(json.loads(process.stdout.readline()))
        return found

    def run(self, code: str, **names: Any) -> list[Any]:
        """What the code leaves in `found`, by rank; it must succeed."""
        self.tell(code, **names)
        answers = self.answers()
        assert [one for one in answers if "error" in one] == []
        return [one["found"] for one in answers]

    def end(self) -> None:
        for process in self.processes:
            process.kill()
            process.end()
