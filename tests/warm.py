"""Processes that are forked from one that has loaded the heavy libraries, in place of new ones.

A library that reads the environment when it is imported (huggingface_hub, and all that use it) is
not loaded before the fork.
"""

import atexit
import gc
import json
import os
import runpy
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any, TextIO

ROOT = Path(__file__).resolve().parent.parent
HEAVY = [
    *("torch", "pyarrow.parquet", "pyarrow.dataset", "pandas", "httpx", "aiohttp", "requests"),
    *("matplotlib.figure", "matplotlib.backends.backend_agg", "safetensors.torch", "dill"),
    *("torch._dynamo", "torch.distributed.checkpoint", "torch.distributed.fsdp", "torch.onnx"),
    *("torch.distributed.tensor.parallel", "torch.distributed.elastic.agent.server.api"),
    *("torch.nn.attention.flex_attention", "torch.testing._internal.distributed.fake_pg"),
    *("scipy.optimize", "sympy", "jinja2", "yaml", "filelock", "regex", "xxhash", "psutil"),
]
"""They read no variable that a test sets, and start no thread."""


@dataclass
class Process:
    """A process that was forked, as far as tests use one."""

    pid: int
    asked: socket.socket
    answers: TextIO
    returncode: int | None = None

    def poll(self) -> int | None:
        """Return its exit code, or None while it runs."""
        ended = self.returncode is not None or select.select([self.asked], [], [], 0)[0]
        return self.wait() if ended else None

    def wait(self, seconds: float | None = None) -> int:
        """Return its exit code, as subprocess does."""
        if self.returncode is None:
            self.asked.settimeout(seconds)
            try:
                with self.asked, self.answers:
                    self.returncode = int(self.answers.readline())
            except TimeoutError:
                self.kill()
                raise
        return self.returncode

    def send_signal(self, number: int) -> None:
        os.kill(self.pid, number)

    def kill(self) -> None:
        """Kill it, unless it has ended."""
        with suppress(ProcessLookupError):
            self.send_signal(signal.SIGKILL)


def start(
    words: list[str],
    env: dict[str, str],
    stdin: int,
    stdout: int,
    stderr: int,
    cwd: Path = ROOT,
) -> Process:
    """Run `python` with these words, `-c code …` or `-m module …`."""
    asked = socket.socket(socket.AF_UNIX)
    asked.connect(_server())
    about = json.dumps({"words": words, "env": env, "cwd": str(cwd)}).encode() + b"\n"
    socket.send_fds(asked, [about[:1]], [stdin, stdout, stderr])
    asked.sendall(about[1:])
    answers = asked.makefile()
    return Process(int(answers.readline()), asked, answers)


def run(
    words: list[str], env: dict[str, str], seconds: float = 300, cwd: Path = ROOT
) -> "subprocess.CompletedProcess[str]":
    """Like `subprocess.run` of `python` with these words, with text that is captured."""
    with (
        open(os.devnull, "rb") as null,
        tempfile.TemporaryFile("w+", encoding="utf-8") as out,
        tempfile.TemporaryFile("w+", encoding="utf-8") as err,
    ):
        process = start(words, env, null.fileno(), out.fileno(), err.fileno(), cwd)
        code = process.wait(seconds)
        out.seek(0)
        err.seek(0)
        return subprocess.CompletedProcess(words, code, out.read(), err.read())


@dataclass(frozen=True)
class Talking:
    """A process that reads lines and answers each with a line."""

    process: Process
    stdin: TextIO
    stdout: TextIO

    def kill(self) -> None:
        self.process.kill()

    def end(self) -> None:
        """Close its standard input, after which it ends by itself, and wait until it has."""
        self.stdin.close()
        with self.stdout:
            self.process.wait()


def talk(words: list[str], env: dict[str, str]) -> Talking:
    """Start `python` with these words, to be talked to."""
    (its_input, stdin), (stdout, its_output) = os.pipe(), os.pipe()
    with open(os.devnull, "wb") as null:
        process = start(words, env, its_input, its_output, null.fileno())
    os.close(its_input)
    os.close(its_output)
    return Talking(process, open(stdin, "w"), open(stdout))


@cache
def _server() -> str:
    """Return the address of the process that forks the others; it ends when this one does."""
    folder = tempfile.mkdtemp()
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    address = str(Path(folder, "warm"))
    started = subprocess.Popen(
        [sys.executable, "-m", "tests.warm", address],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert started.stdout is not None
    assert started.stdout.readline() == b"up\n"
    atexit.register(started.communicate)
    return address


def _serve(address: str) -> dict[str, Any]:
    """Fork a process for each that asks; return what was asked, in that process."""
    for name in HEAVY:
        import_module(name)
    assert "huggingface_hub" not in sys.modules
    gc.collect()
    gc.freeze()
    signal.signal(signal.SIGCHLD, _reap)
    listening = socket.socket(socket.AF_UNIX)
    listening.bind(address)
    listening.listen()
    os.write(1, b"up\n")
    while True:
        ready, _, _ = select.select([0, listening.fileno()], [], [])
        if 0 in ready:  # nobody writes there: it was closed
            raise SystemExit
        asked, _ = listening.accept()
        if os.fork() == 0:
            listening.close()
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            return _forked(asked)
        asked.close()


def _reap(*_: object) -> None:
    """Forget the children that have ended."""
    with suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def _forked(asked: socket.socket) -> dict[str, Any]:
    """Return what was asked in a child; this process tells how the child ends."""
    data, streams, _, _ = socket.recv_fds(asked, 1, 3)
    about: dict[str, Any] = json.loads(data + asked.makefile("rb").readline())
    pid = os.fork()
    if pid == 0:
        asked.close()
        for stream, standard in zip(streams, (0, 1, 2), strict=True):
            os.dup2(stream, standard)
            os.close(stream)
        return about
    for stream in (*streams, 0, 1, 2):
        os.close(stream)
    asked.sendall(b"%d\n" % pid)
    _, status = os.waitpid(pid, 0)
    with suppress(OSError):  # whoever asked may wait no longer
        asked.sendall(b"%d\n" % os.waitstatus_to_exitcode(status))
    os._exit(0)


def _main(words: list[str], env: dict[str, str], cwd: str) -> None:
    """Do what `python` does with these words."""
    os.environ.clear()
    os.environ.update(env)
    os.chdir(cwd)
    flag, what, *rest = words
    sys.argv = [flag, *rest]
    if flag == "-m":
        runpy.run_module(what, run_name="__main__", alter_sys=True)
        return
    assert flag == "-c", words
    module = ModuleType("__main__")
    sys.modules["__main__"] = module
    exec(compile(what, "<string>", "exec"), module.__dict__)


def _exit(code: int) -> None:
    """End as an interpreter does, without taking apart what was loaded: that takes a second."""
    threading._shutdown()  # type: ignore[attr-defined] # as the processes of multiprocessing do
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__":
    asked_for = _serve(sys.argv[1])
    try:
        _main(**asked_for)
    except SystemExit as end:
        if end.code is not None and not isinstance(end.code, int):
            raise
        _exit(end.code or 0)
    _exit(0)
