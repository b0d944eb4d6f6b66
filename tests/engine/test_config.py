"""The configuration: given as text or parts, kept as parts, spelt in full."""

import json
from typing import Any

import numpy as np
import pytest

from stir_hf.engine import STARTS, AdamPolyak, Box, Free, InversionConfig, Paper
from stir_hf.errors import RequestError
from stir_hf.inputs.images import ImageKind
from stir_hf.inputs.vectors import VectorKind

PICTURE, VECTOR = ImageKind("L", (8, 8)), VectorKind(5)


def made(**options: Any) -> InversionConfig:
    return InversionConfig(**options)


def test_the_default_constraint_is_that_of_the_kind() -> None:
    assert made().on(PICTURE).constraint == Box()
    assert made().on(VECTOR).constraint == Free()
    assert made(constraint="none").on(PICTURE).constraint == Free()
    with pytest.raises(ValueError, match="call `on` first"):
        made().spelling()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"constraint": "box"}, "vectors have no bounds; use constraint=none, not a box"),
        ({"method": "smooth"}, "'smooth' filters along space, which vectors do not have"),
    ],
)
def test_what_a_kind_does_not_have_is_refused(options: dict[str, Any], said: str) -> None:
    with pytest.raises(RequestError, match=said):
        made(**options).on(VECTOR)
    assert made(**options).on(PICTURE).constraint == Box()


def test_a_box_of_other_bounds_is_spelt_and_one_that_is_empty_is_refused() -> None:
    wide = made(constraint="box:low=-1").on(PICTURE)
    assert wide.spelling()["constraint"] == {"name": "box", "version": 1, "low": -1.0}
    assert InversionConfig.from_spelling(wide.spelling()) == wide
    for text in ("box:low=1", "box:high=nan", "box:low=-inf"):
        with pytest.raises(RequestError, match="a box needs low < high"):
            made(constraint=text)


def test_text_and_parts_are_the_same() -> None:
    assert made(method="adam-polyak:length=0.4").method == AdamPolyak(length=0.4)
    assert made(method="paper", constraint="box") == made(method=Paper(), constraint=Box())
    assert made(start="noise-same").start == STARTS.parse("noise-same")


def test_the_steps_are_those_of_the_method_unless_given() -> None:
    assert (made().steps, made(method="paper").steps, made(steps=7).steps) == (200, 1000, 7)


def test_numbers_are_made_plain() -> None:
    config = made(steps=np.int64(3), draws=np.int32(2), seed=np.uint8(1), tolerance=1)
    assert [type(v) for v in (config.steps, config.draws, config.seed)] == [int] * 3
    assert type(config.tolerance) is float
    assert type(made(exact=np.True_).exact) is bool
    assert made(tolerance=np.float64(0.02)) == made()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"method": "papr"}, "method 'papr' is unknown; did you mean paper"),
        ({"method": "adam-polyak:lenth=1"}, "no option 'lenth'; did you mean length"),
        ({"method": "adam-polyak:length=x"}, "must be of type float, not 'x'"),
        ({"method": "adam-polyak:length=0"}, "'length' of method 'adam-polyak' must be above 0"),
        ({"method": "adam-polyak:half=-1"}, "'half' of method 'adam-polyak' must be at least 0"),
        ({"method": "adam-polyak:metric=l1"}, "must be one of adam, l2, not 'l1'"),
        ({"method": "smooth:power=4"}, "must be at least 0 and below 4, not 4"),
        ({"method": "adam-polyak:decay=1"}, "must be at least 0 and below 1, not 1"),
        ({"method": "paper:step_size=nan"}, "must be above 0 and finite, not nan"),
        ({"method": 3}, "method must be one of"),
        ({"start": "noisy"}, "start 'noisy' is unknown; did you mean noise"),
        ({"constraint": "bok"}, "constraint 'bok' is unknown; did you mean box"),
        ({"draws": 2, "start": "white"}, "draws=2 with start='white' repeats"),
        ({"steps": 0}, "steps must be a whole number of at least 1, not 0"),
        ({"steps": 2.0}, "not 2.0"),
        ({"seed": np.int64(-1)}, "seed must be a whole number of at least 0, not -1"),
        ({"tolerance": np.float32("nan")}, "tolerance must be a positive number"),
        ({"tolerance": True}, "not True"),
        ({"exact": "yes"}, "exact must be True or False, not 'yes'"),
    ],
)
def test_wrong_options(options: dict[str, Any], words: str) -> None:
    with pytest.raises(RequestError, match=words):
        made(**options)


FIRST_SPELLING: dict[str, Any] = {
    "method": {
        "name": "adam-polyak",
        "version": 1,
        "length": 0.5,
        "momentum": 0.9,
        "decay": 0.9,
    },
    "steps": 500,
    "tolerance": 0.02,
    "start": {"name": "noise", "version": 1},
    "seed": 0,
    "exact": False,
    "constraint": {"name": "box", "version": 1},
}
"""How the first version spelt its defaults. It stays as it is when a default changes or an option
is added.
"""


def test_the_first_spelling_is_read_and_spelt_as_it_was() -> None:
    config = InversionConfig.from_spelling(FIRST_SPELLING)
    assert config.spelling() == FIRST_SPELLING
    assert config.constraint == Box()
    assert InversionConfig.from_spelling({**FIRST_SPELLING, "of_later": 1}) == config


@pytest.mark.parametrize(
    "options",
    [{}, {"method": "paper", "start": "grey", "seed": 3}, {"exact": True, "tolerance": 1}],
    ids=str,
)
def test_a_spelling_goes_through_json_and_back(options: dict[str, Any]) -> None:
    config = made(**options).on(PICTURE)
    spelling = json.loads(json.dumps(config.spelling()))
    assert spelling == config.spelling()
    assert InversionConfig.from_spelling(spelling) == config
    several = made(**options, draws=4 if config.start.random else 1)
    assert several.on(PICTURE).spelling() == spelling


def test_a_tolerance_of_the_spread_is_spelt_as_text_and_read_back() -> None:
    config = made(tolerance="spread:.05").on(PICTURE)
    assert config.spelling()["tolerance"] == config.tolerance == "spread:0.05"
    assert InversionConfig.from_spelling(json.loads(json.dumps(config.spelling()))) == config
    assert made(tolerance="spread:0.05").on(PICTURE) == config
    assert config != made(tolerance=0.05).on(PICTURE)
    assert config.good_enough.limit(length=4.0, spread=2.0) == 0.025
    assert made(tolerance=0.05).good_enough.limit(length=4.0, spread=None) == 0.05
