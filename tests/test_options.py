"""Options are written once: flags, help, hints, commands and the documentation come from the same
fields.
"""

import inspect
import os
import pydoc
import re
import shlex
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from typing import Any, get_args, get_type_hints

import click
import pytest
import torch

import stir_hf
from stir_hf.cli import app
from stir_hf.options.fields import options_of
from stir_hf.options.flags import command
from stir_hf.options.pages import page
from stir_hf.options.verbs import INVERTING, VERBS
from stir_hf.runtime import RunConfig
from tests import warm
from tests.conftest import ROOT
from tests.test_frozen_names import flags


def generated(*arguments: str) -> str:
    """What the options write, in a process of its own: other tests register parts."""
    done = warm.run(["-m", *arguments], dict(os.environ))
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize(
    ("file", "arguments"),
    [
        ("docs/options.md", ["stir_hf.options"]),
        ("docs/cli.md", ["stir_hf.cli.page"]),
        ("stir_hf/options/keywords.py", ["stir_hf.options", "--keywords"]),
    ],
)
def test_what_is_generated_is_up_to_date(file: str, arguments: list[str]) -> None:
    made = generated(*arguments)
    assert (ROOT / file).read_text("utf-8") == made
    assert max(map(len, made.splitlines())) <= 100


@pytest.mark.parametrize("verb", VERBS)
def test_every_option_is_a_flag_with_its_help_and_an_entry_of_the_page(verb: str) -> None:
    shown = app.commands[verb].get_help(click.Context(app.commands[verb]))
    entries = page()
    for option in options_of(*VERBS[verb].configs().values()):
        assert option.flag in flags(verb)
        assert option.flag in shown
        assert option.help.split()[0] in shown
        assert f"`, `{option.name}` (" in entries


def test_parts_are_named_in_help_and_page() -> None:
    help_text = app.commands["compare"].get_help(click.Context(app.commands["compare"]))
    shown = "".join(help_text.split())  # lines break at hyphens, too
    with_parts = {
        o.name: o.parts
        for o in options_of(*VERBS["compare"].configs().values())
        if o.parts is not None
    }
    assert set(with_parts) == {"method", "start", "constraint", "objective", "measure"}
    for parts in with_parts.values():
        assert all(part in shown for part in parts.names)
        assert all(f"- `{part}`: " in page() for part in parts.names)


@pytest.mark.parametrize(
    ("verb", "given", "said"),
    [
        ("compare", {"num_smples": 1}, "unknown option 'num_smples'; did you mean num_samples"),
        ("score", {"steps": 1}, "unknown option 'steps'; "),
        ("score", {"config_name": "a"}, "one inversion set of several with set (--set)"),
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
        VERBS[verb].of(given, data={"dataset": "d"})


def test_a_command_is_told_of_the_option_that_it_means() -> None:
    words = ["a", "--inversions", "run", "--config-name", "set-1"]
    with pytest.raises(click.UsageError, match=r"one inversion set of several with set \(--set\)"):
        app.commands["score"].make_context("score", words)
    with pytest.raises(click.NoSuchOption, match="--stes"):
        app.commands["score"].make_context("score", ["a", "--stes", "1"])


@pytest.mark.parametrize("verb", [*INVERTING, "score", "estimate"])
def test_signatures_and_help_list_every_keyword(verb: str) -> None:
    function = getattr(stir_hf, verb)
    parameters = inspect.signature(function).parameters
    known = INVERTING.values() if verb == "estimate" else [VERBS[verb]]
    options = [o for one in known for o in options_of(*one.configs().values())]
    text = " ".join(function.__doc__.split())
    for option in options:
        parameter = parameters[option.name]
        assert parameter.kind is parameter.KEYWORD_ONLY
        assert (parameter.default, parameter.annotation) == (option.default, option.annotation)
        assert f"{option.name}: {option.text.partition(' One of ')[0]}" in text
    assert all(p.kind is not p.VAR_KEYWORD for p in parameters.values())
    assert function.__doc__.index("num_samples: ") < function.__doc__.index("Raises:")
    assert pydoc.render_doc(function)


def test_a_type_checker_knows_the_keywords() -> None:
    keywords = import_module("stir_hf.options.keywords")
    for verb in (*INVERTING, "score"):
        typed = get_type_hints(getattr(keywords, f"{verb.capitalize()}Keywords"))
        assert typed == {o.name: o.annotation for o in options_of(*VERBS[verb].configs().values())}
        (given,) = get_args(inspect.unwrap(getattr(stir_hf, verb)).__annotations__["options"])
        assert given is getattr(keywords, f"{verb.capitalize()}Keywords")


def test_a_wrong_type_is_refused_by_type_checkers_and_by_the_verb() -> None:
    """Mypy checks this file, and fails where it has nothing to ignore."""
    with pytest.raises(stir_hf.RequestError, match="num_samples must be a whole number"):
        stir_hf.compare("a", "b", "c", num_samples="x")  # type: ignore[arg-type]
    with pytest.raises(stir_hf.RequestError, match="did you mean num_samples"):
        stir_hf.compare("a", "b", "c", num_smples=1)  # type: ignore[call-arg]


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
