"""The command line: one line and the right exit code for what is wrong."""

import json
import os
import re
import shlex
from pathlib import Path

import pytest

from stir_hf.cli import app, main
from stir_hf.cli.app import ORDER
from stir_hf.demo import IMAGES, model_path
from stir_hf.engine import STARTS
from stir_hf.options.verbs import SECTIONS, VERBS
from stir_hf.results import StirResult
from tests.conftest import ROOT

STANDARD, ROBUST = model_path("standard-0"), model_path("robust-0")
COMPARE = [
    "compare",
    STANDARD,
    ROBUST,
    "--dataset",
    str(IMAGES),
    "--num-samples",
    "6",
    "--steps",
    "3",
]


def run(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> tuple[int, str, str]:
    code = 0
    try:
        main(arguments)
    except SystemExit as stop:
        code = int(stop.code or 0)
    printed = capsys.readouterr()
    return code, printed.out, printed.err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (
            ["compare", "stir_hf/demo/models/none", ROBUST, "--dataset", str(IMAGES)],
            "no such model folder",
        ),
        ([*COMPARE, "--layer", "resnet.encodr"], "did you mean"),
        ([*COMPARE, "--split", "tset"], "did you mean test"),
        ([*COMPARE, "--image-column", "img"], "no column 'img'"),
        ([*COMPARE, "--num-samples", "0"], "num_samples must be a whole number"),
        ([*COMPARE, "--num-samples", "201"], "201 samples requested"),
        ([*COMPARE, "--steps", "0"], "steps must be a whole number"),
        ([*COMPARE, "--tolerance", "0"], "tolerance must be a positive number"),
        ([*COMPARE, "--method", "papr"], "did you mean paper"),
        ([*COMPARE, "--device", "cuda:9"], "device 'cuda:9' does not exist"),
        ([*COMPARE, "--num-smples", "3"], "No such option"),
        (["score", STANDARD, "--inversions", "/nowhere"], "no such folder of inversions: /nowhere"),
        (["matrix", STANDARD, "--dataset", str(IMAGES)], "at least two models"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_wrong_request_is_one_line_and_exit_code_2(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    code, out, err = run(
        [*arguments, *(["--out", str(tmp_path / "out")] if arguments[0] == "compare" else [])],
        capsys,
    )
    assert code == 2
    assert out == ""
    complaints = [line for line in err.splitlines() if line.startswith("stir-hf: ")]
    assert said in complaints[-1]
    assert not (tmp_path / "out" / "inversions").exists()


def test_table_is_on_stdout(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    code, out, _ = run([*COMPARE, "--out", str(tmp_path)], capsys)
    assert code == 0
    assert "| standard-0 | robust-0" in out
    below = out.rpartition("|\n")[2].strip().splitlines()
    told = "Inversions above the tolerance: robust-0 (100%), standard-0 (100%)."
    assert below[0].startswith(told)
    assert out.count("above the tolerance") == 1
    assert "did not reach" not in out
    assert any("did not reach" in note for note in StirResult.load(tmp_path).scores[0].notes)
    assert "report.html, result.json, figures, inversions" in out
    assert (tmp_path / "figures" / "pairs.png").stat().st_size > 0


def test_layers_lists_names_shapes_and_pooling(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(["layers", STANDARD, "--json"], capsys)
    found = {layer["name"]: layer for layer in json.loads(out)}
    assert code == 0
    assert found["penultimate (input of classifier.1)"]["shape"] == [80]
    assert found["hidden_states[3]"] == {
        "name": "hidden_states[3]",
        "shape": [80, 2, 2],
        "pooling": "mean",
    }


@pytest.mark.parametrize("arguments", [["--help"], []])
def test_help_names_every_command(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(arguments, capsys)
    assert code == 0
    listed = re.findall(r"^  ([a-z][a-z-]+)(?:  |$)", out.partition("Commands:")[2], re.MULTILINE)
    assert tuple(listed) == ORDER
    assert set(ORDER) == set(app.commands)


def test_help_says_where_inversions_come_from(capsys: pytest.CaptureFixture[str]) -> None:
    _, out, _ = run(["score", "--help"], capsys)
    assert "--inversions DIR_OR_ID" in out
    assert "NAMESPACE/NAME@REVISION" in out


def test_help_says_the_exit_codes_and_every_command_has_an_example(
    capsys: pytest.CaptureFixture[str],
) -> None:
    _, out, _ = run(["--help"], capsys)
    assert all(re.search(rf"^ +{code} +\w", out, re.MULTILINE) for code in (0, 1, 2, 130))
    for name, command in app.commands.items():
        _, out, _ = run([name, "--help"], capsys)
        (line,) = re.findall(r"Example:\n +(.*)$", out, re.MULTILINE)
        words = shlex.split(line)
        assert words[:2] == ["stir-hf", name]
        command.make_context(name, words[2:])


def test_options_stand_under_what_they_configure(capsys: pytest.CaptureFixture[str]) -> None:
    _, out, _ = run(["compare", "--help"], capsys)
    headings = re.findall(r"^([A-Z][\w ,-]+):$", out, re.MULTILINE)
    assert headings == [*SECTIONS, "Options"]
    publishing = out.partition("Publishing, with --push-to:")[2].partition("\nOptions:")[0]
    assert set(re.findall(r"^ +(--[a-z-]+)", publishing, re.MULTILINE)) == {
        "--private",
        "--without-images",
        "--create-pr",
        "--package",
        "--push-to",
    }
    assert {spec for specs in SECTIONS.values() for spec in specs} == {
        spec
        for verb, options in VERBS.items()
        if verb != "push"
        for spec in options.configs().values()
    }


def test_a_start_that_takes_tensors_is_refused_without_a_folder(
    capsys: pytest.CaptureFixture[str],
) -> None:
    _, out, _ = run(["compare", "--help"], capsys)
    offered = re.findall(r"One of ([a-z, -]+)\.", " ".join(out.split()))
    assert offered[0].split(", ") == list(STARTS.names)
    code, _, err = run([*COMPARE, "--start", "given"], capsys)
    assert code == 2
    assert "starts=" in err


def test_the_page_needs_gradio(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stir_hf.cli.hub.find_spec", lambda _: None)
    code, out, err = run(["space", "--port", "7999"], capsys)
    assert (code, out) == (2, "")
    (line,) = err.splitlines()
    assert 'pip install ".[space]"' in line
    assert "GRADIO_SERVER_PORT" not in os.environ


def test_the_page_is_the_one_of_the_space(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    served: list[tuple[str, str, str]] = []

    def serve(path: str, run_name: str) -> None:
        served.append((path, run_name, os.environ["GRADIO_SERVER_PORT"]))

    monkeypatch.setenv("GRADIO_SERVER_PORT", "7001")
    monkeypatch.setattr("stir_hf.cli.hub.runpy.run_path", serve)
    assert run(["space"], capsys)[0] == run(["space", "--port", "7999"], capsys)[0] == 0
    app_file = str(ROOT / "spaces_demo" / "app.py")
    assert served == [(app_file, "__main__", "7001"), (app_file, "__main__", "7999")]


@pytest.mark.verify
def test_one_bar_counts_the_work_of_all_networks(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    models = [model_path(name) for name in ("standard-0", "standard-1", "robust-0")]
    few = ["--dataset", str(IMAGES), "--num-samples", "4", "--steps", "2", "--out", str(tmp_path)]
    code, _, err = run(["matrix", *models, *few], capsys)
    assert code == 0
    totals = re.findall(r"(inverting|judging) \S+: .*?\d+/(\d+) ", err.replace("\r", "\n"))
    assert set(totals) == {("inverting", "12"), ("judging", "24")}
    assert {name for name in ("standard-0", "standard-1", "robust-0") if name in err} == {
        "standard-0",
        "standard-1",
        "robust-0",
    }


def test_local_models_and_data_are_called_as_asked(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    names = [
        "--name",
        "lab/standard",
        "--name",
        f"{ROBUST}=lab/robust",
        "--name",
        f"{IMAGES}=lab/d",
    ]
    code, out, _ = run([*COMPARE, *names, "--out", str(tmp_path), "--json"], capsys)
    assert code == 0
    found = json.loads(out)
    assert [s["model"] for s in found["scores"]] == ["lab/standard", "lab/robust"]
    assert {d["dataset"] for d in found["config"]["data"]} == {"lab/d"}
    assert str(IMAGES) not in out


def test_inversions_without_a_folder_are_told_all_the_same(
    capsys: pytest.CaptureFixture[str],
) -> None:
    code, out, err = run(["invert", *COMPARE[2:]], capsys)
    assert (code, "Error" in err) == (0, False), err
    assert re.search(r"(?m)^6 inversions: median relative error \d\.\d+ .*% at or below", out)
    assert "pairs.png" not in out
    shown = run(["invert", "--help"], capsys)[1]
    assert re.findall(r"--(\w+) [A-Z]+ [^\[]*\[required\]", shown) == ["dataset"]
    assert "inversions are not kept" in err


@pytest.mark.parametrize(
    ("verb", "told"),
    [("push", "interrupted"), ("invert", "interrupted; the same command with --out continues")],
)
def test_an_interrupted_command_is_told_to_continue_where_it_can(
    verb: str, told: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(app, "main", interrupt)
    code, _, err = run([verb], capsys)
    assert (code, err.strip()) == (130, f"stir-hf: {told}")
