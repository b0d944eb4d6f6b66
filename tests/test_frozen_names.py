"""Names that others rely on: what is generated may add a flag or a key, never rename one."""

import json
from pathlib import Path

import click
import pytest

import stir_hf
from stir_hf.cli import app, main
from stir_hf.demo import IMAGES, model_path

FLAGS = {
    "demo": {"--out", "--json", "--debug"},
    "layers": {"--json", "--debug"},
    "install-metric": {"--undo", "--json", "--debug"},
    "merge": {"--out", "--json", "--debug"},
    "push": {
        "--to",
        "--scores-only",
        "--eval-results",
        "--model-index",
        "--private",
        "--public",
        "--without-images",
        "--create-pr",
        "--package",
        "--json",
        "--debug",
    },
    "leaderboard": {"--json", "--debug"},
    "publish-metric": {"--package", "--private", "--create-pr", "--json", "--debug"},
    "space": {"--port", "--debug"},
    "compare": {
        "--dataset",
        "--config-name",
        "--split",
        "--image-column",
        "--image-mode",
        "--num-samples",
        "--layer",
        "--reference-layer",
        "--method",
        "--steps",
        "--tolerance",
        "--start",
        "--draws",
        "--seed",
        "--exact",
        "--png",
        "--batch-size",
        "--measure",
        "--device",
        "--dtype",
        "--name",
        "--out",
        "--json",
        "--debug",
        "--constraint",
        "--tf32",
        "--no-tf32",
    },
    "score": {
        "--inversions",
        "--set",
        "--num-samples",
        "--draws",
        "--layer",
        "--measure",
        "--batch-size",
        "--device",
        "--dtype",
        "--tf32",
        "--no-tf32",
        "--name",
        "--out",
        "--json",
        "--debug",
    },
}
FLAGS["publish-space"] = FLAGS["publish-metric"]
FLAGS["matrix"] = FLAGS["compare"] - {"--reference-layer"}
FLAGS["invert"] = FLAGS["matrix"] - {"--measure"}

SCORE_KEYS = {
    "model",
    "reference",
    "layer",
    "reference_layer",
    "measure",
    "stir",
    "similarity",
    "floor",
    "ceiling",
    "debiased",
    "interval",
    "num_samples",
    "relative_error",
    "spread_error",
    "converged",
    "notes",
    "draws",
    "left_out",
    "unconverged",
    "inversion_set",
    "network_id",
}
RESULT_KEYS = {"scores", "config", "environment"}
CONFIG_KEYS = {"command", "models", "data", "inversion_sets", "hash", "method", "steps", "measure"}
SUMMARY_KEYS = {
    "inversions",
    "num_samples",
    "left_out",
    "rows",
    "relative_error",
    "converged",
    "unconverged",
    "spread_error",
    "tolerance",
    "config",
    "notes",
}


def flags(name: str) -> set[str]:
    verb = app.commands[name]
    params = verb.get_params(click.Context(verb))
    options = [p for p in params if isinstance(p, click.Option) and p.name != "help"]
    return {flag for p in options for flag in (*p.opts, *p.secondary_opts)}


@pytest.mark.parametrize("name", FLAGS)
def test_no_flag_is_ever_renamed(name: str) -> None:
    assert flags(name) >= FLAGS[name]


def test_no_key_of_a_score_is_ever_renamed() -> None:
    assert set(stir_hf.Score.__dataclass_fields__) >= SCORE_KEYS


def test_no_key_of_json_is_ever_renamed(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    data = ["--dataset", str(IMAGES), "--num-samples", "6", "--steps", "2", "--json"]
    main(["compare", model_path("standard-0"), model_path("robust-0"), *data])
    result = json.loads(capsys.readouterr().out)
    assert set(result) >= RESULT_KEYS
    assert set(result["config"]) >= CONFIG_KEYS
    assert set(result["scores"][0]) >= SCORE_KEYS
    main(["invert", model_path("robust-0"), *data, "--out", str(tmp_path)])
    summary = json.loads(capsys.readouterr().out)
    assert set(summary) >= SUMMARY_KEYS
    assert Path(summary["inversions"]).is_dir()
