"""Options are written once: flags, help, hints, commands and the documentation come from the same
fields.
"""

import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import click
import pytest
import torch

import stir_hf
from stir_hf.cli import app
from stir_hf.options import SPECS, command, options_of, sorted_into, table
from stir_hf.runtime import RunConfig
from tests.conftest import ROOT

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
    "inversion_set",
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


def test_the_documentation_is_generated() -> None:
    """In a process of its own: other tests register parts."""
    command = [sys.executable, "-m", "stir_hf.options"]
    made = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT).stdout
    text = (ROOT / "docs" / "options.md").read_text("utf-8")
    assert text.partition("\n\n| ")[2] == made.removeprefix("| ")


@pytest.mark.parametrize("verb", SPECS)
def test_every_option_is_a_flag_with_its_help_and_a_line_of_the_table(verb: str) -> None:
    shown = app.commands[verb].get_help(click.Context(app.commands[verb]))
    rows = table()
    for option in options_of(*SPECS[verb]):
        assert option.flag in flags(verb)
        assert option.flag in shown
        assert option.help.split()[0] in shown
        assert f"`{option.name}` |" in rows


def test_parts_are_named_in_help_and_table() -> None:
    help_text = app.commands["compare"].get_help(click.Context(app.commands["compare"]))
    shown = "".join(help_text.split())  # lines break at hyphens, too
    with_parts = {o.name: o.parts for o in options_of(*SPECS["compare"]) if o.parts is not None}
    assert set(with_parts) == {"method", "start", "constraint", "measure"}
    for parts in with_parts.values():
        assert all(part in shown for part in parts.names)
        assert all(f"- `{part}`: " in table() for part in parts.names)


@pytest.mark.parametrize(
    ("verb", "given", "said"),
    [
        ("compare", {"num_smples": 1}, "unknown option 'num_smples'; did you mean num_samples"),
        ("score", {"steps": 1}, "unknown option 'steps'; "),
        ("invert", {"measure": "linear_cka"}, "unknown option 'measure'; "),
        ("matrix", {"reference_layer": "x"}, "unknown option 'reference_layer'; "),
        ("compare", {"revision": "x"}, "write id@revision"),
        (
            "compare",
            {"measure": "linear_kca"},
            "measure 'linear_kca' is unknown; did you mean linear_cka",
        ),
        ("compare", {"method": "paper:step=1"}, "has no option 'step'; did you mean step_size"),
        ("compare", {"method": "paper:step_size=big"}, "must be of type float, not 'big'"),
        ("compare", {"constraint": "bax"}, "constraint 'bax' is unknown; did you mean box"),
    ],
)
def test_what_is_not_known_is_hinted_at(verb: str, given: dict[str, Any], said: str) -> None:
    with pytest.raises(stir_hf.RequestError, match=re.escape(said)):
        sorted_into(given, verb, {"DataSpec": {"dataset": "d"}})


def test_a_command_asks_for_the_same() -> None:
    asked = {
        "num_samples": 7,
        "exact": True,
        "tolerance": 0.1,
        "method": "paper:step_size=0.25",
        "layer": "a b",
        "seed": 0,
        "name": ("mine", "d=data"),
        "dataset": "some data",
    }
    line = command("compare", ["a", "b"], asked)
    words = shlex.split(line)
    assert words[:4] == ["stir-hf", "compare", "a", "b"]
    assert "--seed" not in words  # its default
    context = app.commands["compare"].make_context("compare", words[2:])
    given = {k: v for k, v in context.params.items() if v not in (None, (), False)}
    assert given == {
        **{k: v for k, v in asked.items() if k != "seed"},
        "model": "a",
        "reference": "b",
    }


def test_summaries_are_not_cut() -> None:
    shown = app.get_help(click.Context(app))
    assert "..." not in shown.partition("Commands:")[2]
    assert "STIR(REFERENCE | MODEL)" in " ".join(shown.split())


def test_help_is_shown_without_loading_torch(tmp_path: Path) -> None:
    code = (
        "import sys; from stir_hf.cli import main\n"
        "try: main(['--help'])\n"
        "finally: assert 'torch' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "install-metric" in done.stdout


def test_a_batch_is_as_large_as_caches_take() -> None:
    cpu, gpu = torch.device("cpu"), torch.device("meta")
    assert [RunConfig().batch(n, cpu) for n in (784, 3 * 96**2, 3 * 224**2, 3 * 512**2)] == [
        64,
        43,
        8,
        4,
    ]
    assert RunConfig().batch(3 * 224**2, gpu) == 32
    assert RunConfig(batch_size=7).batch(784, cpu) == 7
