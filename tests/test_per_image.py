"""How far the judged model moves on each pair, beside the score."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import torch

import stir_hf
from stir_hf.demo import IMAGES, model_path
from stir_hf.results import PER_IMAGE

STANDARD, ROBUST = model_path("standard-0"), model_path("robust-0")


def test_moves_are_those_of_the_representations(tmp_path: Path) -> None:
    made = stir_hf.invert(
        ROBUST, str(IMAGES), num_samples=6, draws=2, steps=5, out=tmp_path / "a", progress=False
    )
    result = stir_hf.score(
        [STANDARD, ROBUST], made, out=tmp_path / "b", batch_size=5, progress=False
    )
    table = result.per_image()
    assert len(table) == 2 * 12
    assert set(table["score"]) == {0, 1}
    for place, path in enumerate((STANDARD, ROBUST)):
        encoder = stir_hf.load_encoder(path)
        before, after = (
            encoder(torch.from_numpy(np.asarray(p))).double().numpy()
            for p in (made.image, made.inverted)
        )
        norm = np.linalg.norm(before, axis=1)
        rows = table[table["score"] == place]
        distance = np.linalg.norm(after - before, axis=1) / norm
        cosine = (before * after).sum(1) / norm / np.linalg.norm(after, axis=1)
        np.testing.assert_allclose(rows["relative_distance"], distance, rtol=1e-4)
        np.testing.assert_allclose(rows["cosine"], cosine, rtol=1e-5)
        np.testing.assert_array_equal(rows["index"], made.index)
        np.testing.assert_array_equal(rows["draw"], made.draw)
        np.testing.assert_array_equal(rows["relative_error"], made.relative_error)
    reference = table[table["score"] == 1]
    np.testing.assert_allclose(
        reference["relative_distance"], reference["relative_error"], rtol=1e-3
    )


def test_they_lie_beside_the_result_and_are_read_back(tmp_path: Path) -> None:
    result = stir_hf.compare(
        STANDARD, ROBUST, str(IMAGES), num_samples=5, steps=2, out=tmp_path, progress=False
    )
    assert "displacements" not in json.loads((tmp_path / "result.json").read_text("utf-8"))
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / PER_IMAGE), result.per_image())
    back = stir_hf.StirResult.load(tmp_path)
    assert back == stir_hf.StirResult.from_dict(result.to_dict())
    pd.testing.assert_frame_equal(back.per_image(), result.per_image())
    (tmp_path / PER_IMAGE).unlink()
    assert stir_hf.StirResult.load(tmp_path).per_image().empty
