"""Work for the tests, done in the process of a request; it imports nothing that is measured."""

import os
import sys
from pathlib import Path
from typing import Any


def late(request: Any, folder: Path, send: Any) -> None:
    """Compare, and tell which modules were imported for it."""
    before = set(sys.modules)
    told: list[dict[str, Any]] = []
    from stir_hf.space import jobs

    jobs.compare(request, folder, told.append)
    assert "done" in told[-1]
    send({"done": sorted(set(sys.modules) - before)})


def state(_: Any, __: Path, send: Any) -> None:
    """Tell what a request begins with: the environment, the modules, and the threads of the server
    that it was forked from.
    """
    tasks = Path(f"/proc/{os.getppid()}/task").glob("*/comm")
    threads = [task.read_text().strip() for task in tasks]
    there = {"environment": dict(os.environ), "modules": sorted(sys.modules), "threads": threads}
    send({"done": there})
