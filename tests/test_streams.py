"""What is printed: streams of any encoding, closed ones, and none."""

import io
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner
from PIL import Image

from stir_hf import RequestError, invert
from stir_hf.cli import app, main
from stir_hf.cli.streams import write_anything
from tests.conftest import ROOT

ENCODINGS = ["ascii", "cp1252", "utf-8", "latin-1", "cp437"]
NAMES = "模型", "données ≥ 3"


def run(code: str, **env: str) -> "subprocess.CompletedProcess[bytes]":
    names = ("PYTHONIOENCODING", "PYTHONUTF8", "PYTHONCOERCECLOCALE", "LC_ALL")
    kept = {name: value for name, value in os.environ.items() if name not in names}
    return subprocess.run(
        [sys.executable, "-c", code],
        check=False,
        cwd=ROOT,
        env={**kept, **env},
        capture_output=True,
        timeout=120,
    )


PRINTS = f"""
import logging, subprocess, sys, warnings, click
from stir_hf import RequestError, invert
from stir_hf.cli import app, main
from stir_hf.errors import RunError
from tqdm import tqdm
@app.command("told")
def told():
    names = {NAMES!a}
    click.echo(names)
    print(*names, "\\udcff")
    logging.getLogger("stir_hf").warning(names[0])
    warnings.warn(names[0])
    for _ in tqdm(range(2), desc=names[0]):
        pass
    subprocess.run([sys.executable, "-c", "print(" + ascii(names[0]) + ")"], check=True)
    raise RunError(names[0] + " failed")
main(["told"])
"""


@pytest.mark.verify
@pytest.mark.parametrize("encoding", ENCODINGS)
def test_what_a_stream_lacks_is_replaced(encoding: str) -> None:
    done = run(PRINTS, PYTHONIOENCODING=encoding, PYTHONUTF8="0")
    out, err = done.stdout.decode("utf-8", "replace"), done.stderr.decode("utf-8", "replace")
    assert done.returncode == 1, err
    assert "Error" not in err
    assert "Traceback" not in err
    name = NAMES[0] if encoding == "utf-8" else r"\u6a21\u578b"
    assert out.count(name) >= 2  # print, and the process that was started
    assert r"\udcff" in out
    assert f"stir-hf: {name} failed" in err or f"stir-hf: {NAMES[0]} failed" in err


@pytest.mark.verify
def test_the_locale_c_without_utf8() -> None:
    done = run(PRINTS, LC_ALL="C", PYTHONCOERCECLOCALE="0", PYTHONUTF8="0")
    assert done.returncode == 1
    assert b"Error" not in done.stderr
    assert rb"\u6a21\u578b" in done.stdout


@pytest.mark.verify
def test_the_help_is_printed_in_any_encoding() -> None:
    for encoding in ("latin-1", "cp437"):
        code = "from stir_hf.cli import main; main(['compare', '--help'])"
        done = run(code, PYTHONIOENCODING=encoding)
        assert (done.returncode, done.stderr) == (0, b"")
        assert b"--dataset DATA" in done.stdout


def test_json_is_ascii_on_stdout_and_utf8_in_files(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from stir_hf.demo import IMAGES, model_path

    models = model_path("standard-0"), model_path("robust-0")
    words = ["compare", *models, "--dataset", str(IMAGES), "--num-samples", "6", "--steps", "2"]
    named = ["--name", f"{models[0]}={NAMES[1]}", "--out", str(tmp_path)]
    main([*words, "--device", "cpu", "--json", *named])
    out = capsys.readouterr().out
    assert out.isascii()
    assert NAMES[1] in (tmp_path / "result.json").read_text("utf-8")
    assert json.loads(out)["scores"][0]["model"].startswith(NAMES[1])


@pytest.mark.parametrize("closed", ["stdout", "stderr"])
def test_a_pipe_that_is_closed_early_is_no_traceback(closed: str) -> None:
    """As `| head -1` leaves it."""
    end, begin = os.pipe()
    process = subprocess.Popen(
        [sys.executable, "-m", "stir_hf", *(["--help"] if closed == "stdout" else ["--none"])],
        cwd=ROOT,
        stdout=begin if closed == "stdout" else subprocess.PIPE,
        stderr=begin if closed == "stderr" else subprocess.PIPE,
    )
    os.close(end)
    os.close(begin)
    out, err = process.communicate(timeout=120)
    assert b"Traceback" not in (out or b"") + (err or b"")
    assert b"BrokenPipe" not in (out or b"") + (err or b"")
    assert process.returncode != 0


@pytest.mark.verify
def test_without_streams(monkeypatch: pytest.MonkeyPatch) -> None:
    """As under pythonw."""
    code = (
        "import sys; sys.stdout = sys.stderr = None\n"
        "from stir_hf.cli import main\n"
        "main(['layers', sys.argv[1] if sys.argv[1:] else 'stir_hf/demo/models/standard-0'])"
    )
    done = run(code)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
    monkeypatch.setattr(sys, "stdout", None)
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    monkeypatch.setenv("PYTHONIOENCODING", "utf-8")
    write_anything()


def test_a_bar_needs_a_stream(monkeypatch: pytest.MonkeyPatch) -> None:
    from stir_hf.runtime import Counters, progress_bar

    monkeypatch.setattr(sys, "stderr", None)
    with progress_bar(3, 0, Counters(None), progress=True, main=True) as bar:
        bar.add(1)


def test_streams_that_are_no_files_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    result = CliRunner().invoke(app, ["--help"])
    assert result.exit_code == 0
    assert "compare" in result.output
    monkeypatch.setenv("PYTHONIOENCODING", "utf-8:replace")
    chosen = io.TextIOWrapper(io.BytesIO(), "ascii", "replace")
    monkeypatch.setattr(sys, "stdout", chosen)
    write_anything()
    assert chosen.errors == "replace"
    assert os.environ["PYTHONIOENCODING"] == "utf-8:replace"


def test_names_that_are_not_utf8_are_told_before_any_work(tmp_path: Path) -> None:
    bad = str(tmp_path / b"bo\xffut".decode("utf-8", "surrogateescape"))
    images = [Image.new("RGB", (8, 8), colour) for colour in ("red", "blue", "black", "white")]
    net = torch.nn.Flatten()
    asked: list[tuple[str, tuple[Any, Any], dict[str, Any]]] = [
        ("--out", (net, images), {"out": bad}),
        ("model", (bad, images), {}),
        ("dataset", (net, bad), {}),
    ]
    for what, given, more in asked:
        said = rf"{what} .*bo\\udcffut is not a UTF-8 name; rename it"
        with pytest.raises(RequestError, match=said):
            invert(*given, **more)


SAYS = """
import logging, sys, warnings
from stir_hf.cli import app, main
from stir_hf.cli.app import debug_option
@app.command("told")
@debug_option
def told():
    text = "a\\x1b[31m\\n\\x9b2J\\u202e"
    logging.getLogger("huggingface_hub").warning("%s", text)
    warnings.warn(text)
    raise KeyError(text) from ValueError(text)
main(["told", *sys.argv[1:]])
"""


def test_what_libraries_say_is_printable() -> None:
    for code in (SAYS, SAYS.replace("*sys.argv[1:]", "'--debug'")):
        said = run(code).stderr.decode()
        assert all(char.isprintable() or char == "\n" for char in said), said
        assert said.count(r"a\x1b[31m \x9b2J\u202e") >= 2
    assert "Traceback" in said
    assert r"ValueError: a\x1b[31m" in said
