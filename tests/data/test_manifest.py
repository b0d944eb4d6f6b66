"""What identifies a set, what is compared beside it, and the file that says so."""

import json
from pathlib import Path

import numpy as np
import pytest

from stir_hf import RequestError
from stir_hf.data.identity import (
    array_hash,
    hash_of,
    local_label,
    order_of,
    probe_record,
    same_probe,
    slug,
)
from stir_hf.data.sets.manifest import FILE_NAME, Manifest
from tests.data.by_hand import CANVAS, NAMES, identity

MANIFEST = Manifest(identity(CANVAS, 5000), [1.0, 2.0], "ab", NAMES)


def test_equal_content_has_equal_hashes_however_it_is_ordered() -> None:
    assert hash_of({"a": 1, "b": [1.5]}) == hash_of({"b": [1.5], "a": 1})
    assert hash_of({"a": 1}) != hash_of({"a": 2})
    with pytest.raises(ValueError, match="not JSON compliant"):
        hash_of({"a": float("nan")})


def test_a_hash_is_of_shape_type_and_values() -> None:
    array = np.arange(6, dtype=np.uint8)
    found = {array_hash(a) for a in (array, array.reshape(2, 3), array.astype(np.int16), array + 1)}
    assert len(found) == 4
    assert array_hash(np.asfortranarray(array.reshape(2, 3))) == array_hash(array.reshape(2, 3))
    assert len(array_hash(array)) == 16


def test_the_order_is_a_fixed_permutation_and_a_prefix_of_itself() -> None:
    assert order_of(10, 4).tolist() == order_of(10, 9)[:4].tolist()
    assert order_of(10, 10).tolist() == [4, 6, 2, 7, 3, 5, 9, 0, 8, 1]
    assert order_of(None, 3).tolist() == [0, 1, 2]


def test_names_of_folders_and_sets() -> None:
    digest = "0123456789abcdef" * 4
    assert slug("org/Some model.v2", digest) == "Some-model-v2-0123456789abcdef"
    assert slug("robust-0#1a2b3c4d", digest) == "robust-0-0123456789abcdef"
    assert slug("///", digest) == "model-0123456789abcdef"
    assert local_label("/home/somebody/models/mine/", digest) == "mine#01234567"


def test_a_probe_is_the_same_up_to_rounding() -> None:
    values = np.random.default_rng(0).normal(size=(2, 2000))
    record = probe_record(values)
    assert len(record) == 512
    assert same_probe(probe_record(values * (1 + 1e-5)), record, "float32")
    assert not same_probe(probe_record(values * 1.01), record, "float32")
    assert same_probe(probe_record(values * 1.01), record, "bfloat16")
    assert not same_probe(record[:-1], record, "float32")


def test_it_is_read_back_and_later_fields_are_passed_over(tmp_path: Path) -> None:
    MANIFEST.write(tmp_path)
    assert Manifest.read(tmp_path) == MANIFEST
    about = json.loads((tmp_path / FILE_NAME).read_text())
    assert about["format"] == 2
    (tmp_path / FILE_NAME).write_text(json.dumps({**about, "later": 1}))
    assert Manifest.read(tmp_path) == MANIFEST
    assert [p.name for p in tmp_path.iterdir()] == [FILE_NAME]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"format": 3, "identity": {}}', "is of format 3; this stir-hf reads format 2"),
        ('{"format": 1, "identity": {}}', "format must be 2"),
        ('{"reference": {}}', "older stir-hf"),
        ("[]", "older stir-hf"),
        ("{", "inversions.json is broken: Expecting property name"),
    ],
)
def test_what_cannot_be_read_is_told_by_name(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / FILE_NAME).write_text(text)
    with pytest.raises(RequestError, match=said):
        Manifest.read(tmp_path)


def test_the_largest_finished_prefix_is_kept() -> None:
    done = MANIFEST.finished(500, 1)
    assert done.complete == {"num_samples": 500, "draws": 1}
    assert done.finished(300, 1) == done
    assert done.finished(1000, 1).complete == {"num_samples": 1000, "draws": 1}
    assert done.finished(400, 2) == done  # fewer images never take the place of more
    assert done.finished(500, 2).complete == {"num_samples": 500, "draws": 2}
    assert done.hash == MANIFEST.hash


def test_another_forward_pass_or_start_stream_does_not_continue(tmp_path: Path) -> None:
    other = Manifest(MANIFEST.identity, [1.0, 2.1], "ab")
    with pytest.raises(RequestError, match="same weights but different outputs"):
        other.check_continues(MANIFEST, tmp_path)
    other = Manifest(MANIFEST.identity, [1.0, 2.0], "cd")
    with pytest.raises(RequestError, match="from other starts"):
        other.check_continues(MANIFEST, tmp_path)
    Manifest(MANIFEST.identity, [1.0, 2.000001], "ab").check_continues(MANIFEST, tmp_path)
