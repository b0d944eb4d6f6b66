"""Addresses of the Hub where an id is taken."""

from pathlib import Path

import pytest

from stir_hf.data.sets.located import located
from stir_hf.data.sources.spec import described
from stir_hf.errors import RequestError
from stir_hf.hub import destination, split_revision
from stir_hf.hub.names import Kind
from stir_hf.models.load.spec import ModelSpec

UNDERSTOOD: dict[str, tuple[Kind, str, str | None]] = {
    "org/name": ("model", "org/name", None),
    "org/name@rev": ("model", "org/name", "rev"),
    "name": ("model", "name", None),
    "https://huggingface.co/org/name": ("model", "org/name", None),
    "https://huggingface.co/org/name/": ("model", "org/name", None),
    "http://huggingface.co/org/name": ("model", "org/name", None),
    "https://www.huggingface.co/org/name": ("model", "org/name", None),
    "https://hf.co/org/name": ("model", "org/name", None),
    "huggingface.co/org/name": ("model", "org/name", None),
    "HTTPS://HuggingFace.co/Org/Name": ("model", "Org/Name", None),
    "https://huggingface.co/org/name/tree/v1.0": ("model", "org/name", "v1.0"),
    "https://huggingface.co/org/name/tree/refs%2Fpr%2F1": ("model", "org/name", "refs/pr/1"),
    "https://huggingface.co/org/name?library=timm#usage": ("model", "org/name", None),
    "https://huggingface.co/resnet": ("model", "resnet", None),
    "hf://org/name": ("model", "org/name", None),
    "HF://org/name@rev": ("model", "org/name", "rev"),
    "hf://models/org/name": ("model", "org/name", None),
    "models/org/name": ("model", "org/name", None),
    "models/name": ("model", "models/name", None),
    "https://huggingface.co/datasets/org/name": ("dataset", "org/name", None),
    "https://huggingface.co/datasets/org/name/tree/main": ("dataset", "org/name", "main"),
    "hf://datasets/org/name@rev": ("dataset", "org/name", "rev"),
    "datasets/org/name": ("dataset", "org/name", None),
    "datasets/org/name@refs/pr/1": ("dataset", "org/name", "refs/pr/1"),
    "datasets/name": ("dataset", "datasets/name", None),
    "https://huggingface.co/spaces/org/name": ("space", "org/name", None),
    "http://127.0.0.1:8000/datasets/org/name": ("dataset", "org/name", None),
}
REFUSED: dict[str, tuple[Kind, str]] = {
    "https://huggingface.co/datasets/org/name": ("model", "is the URL of a dataset"),
    "hf://datasets/org/name": ("model", "expected a model"),
    "https://huggingface.co/org/name": ("dataset", "https://huggingface.co/datasets/NAMESPACE/"),
    "hf://spaces/org/name": ("model", "is the URL of a space"),
    "https://example.com/org/name": ("model", "not of the Hub; give NAMESPACE/NAME"),
    "https://huggingface.co.example.com/org/name": ("model", "not of the Hub"),
    "s3://bucket/name": ("dataset", "not of the Hub"),
    "https://huggingface.co/": ("model", "give NAMESPACE/NAME"),
    "https://huggingface.co/org/name/blob/main/config.json": ("model", "give org/name"),
    "https://huggingface.co/org/name/tree/main/folder": ("model", "give org/name"),
    "https://huggingface.co/datasets/org/name/viewer": ("dataset", "give org/name"),
}


@pytest.fixture(autouse=True)
def endpoint(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:8000")
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("given", UNDERSTOOD)
def test_an_address_is_understood(given: str) -> None:
    kind, repo_id, revision = UNDERSTOOD[given]
    assert split_revision(given, kind) == (repo_id, revision)
    assert split_revision(given) == (repo_id, revision)


@pytest.mark.parametrize("given", REFUSED)
def test_an_address_of_something_else_is_told(given: str) -> None:
    kind, told = REFUSED[given]
    with pytest.raises(RequestError) as error:
        split_revision(given, kind)
    assert told in str(error.value)
    assert given in str(error.value)


def test_models_and_datasets_take_addresses() -> None:
    spec = ModelSpec.parse("https://huggingface.co/org/name/tree/v1")
    assert spec == ModelSpec("org/name", "v1")
    data = described("https://huggingface.co/datasets/org/images")
    assert data == {"dataset": "org/images", "revision": None}
    with pytest.raises(RequestError, match="expected a dataset"):
        located("https://huggingface.co/org/name")


def test_a_place_to_write_to_takes_addresses() -> None:
    assert destination("https://huggingface.co/datasets/me/it", "--to") == "me/it"
    assert destination("me/it", "--to") == "me/it"
    with pytest.raises(RequestError, match="--to hf://datasets/me/it@v1 names a revision"):
        destination("hf://datasets/me/it@v1", "--to")
    with pytest.raises(RequestError, match="expected a space"):
        destination("https://huggingface.co/datasets/me/it", "publish-metric", "space")


@pytest.mark.parametrize("site", ["huggingface.co", "hf.co", "example.com", "@example.com"])
def test_a_token_in_an_address_is_not_printed(site: str) -> None:
    for take in (split_revision, lambda given: destination(given, "--to")):
        with pytest.raises(RequestError) as error:
            take(f"https://me:hf_secret@{site}/org/name")
        assert "hf_" not in str(error.value)
        assert "give NAMESPACE/NAME" in str(error.value)


@pytest.mark.parametrize("given", ["hf://org/name", "https://hf.co/org/name", "models/org/name"])
def test_an_address_is_never_taken_for_a_folder_here(given: str, tmp_path: Path) -> None:
    assert split_revision(given) == ("org/name", None)
    (tmp_path / "org" / "name").mkdir(parents=True)
    with pytest.raises(RequestError, match="there is also a path org/name here"):
        split_revision(given)
    with pytest.raises(RequestError, match=r"a path \.\./name here"):
        split_revision("https://huggingface.co/../name")


def test_a_folder_of_that_name_wins(tmp_path: Path) -> None:
    (tmp_path / "datasets" / "org" / "name").mkdir(parents=True)
    assert split_revision("datasets/org/name", "dataset") == ("datasets/org/name", None)
