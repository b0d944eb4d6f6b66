"""Which patterns name some files of a repo to the Hub's client."""

import pytest
from huggingface_hub.utils import filter_repo_objects

from stir_hf.hub import patterns
from stir_hf.hub.patterns import _FEW, patterns_of

COUNT = 3000
REPOS = {
    "folders": [f"{s}/{i % 9}/{i}.png" for s in ("test", "train") for i in range(COUNT)],
    "beginnings": [f"{s}_{i}.png" for s in ("test", "train") for i in range(COUNT)],
    "ends": [f"images/{i}_{s}.png" for i in range(COUNT) for s in ("test", "train")],
    "marks": [f"{s}/[{i}]*?.png" for s in ("test", "train") for i in range(COUNT)],
}


@pytest.mark.parametrize("shape", REPOS)
def test_many_files_take_few_patterns(shape: str) -> None:
    there = ["README.md", ".gitattributes", *REPOS[shape]]
    wanted = [name for name in REPOS[shape] if "test" in name]
    found = patterns_of(wanted, there)
    assert len(found) <= _FEW
    assert list(filter_repo_objects(there, allow_patterns=found)) == wanted


@pytest.mark.parametrize(
    "wanted", [["a"], ["ab"], ["a", "abc"], ["a/b"], ["a", "ab", "abc", "a/b"]]
)
def test_a_name_that_begins_another(wanted: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patterns, "_FEW", 0)
    there = ["a", "ab", "abc", "a/b", "cab"]
    found = patterns_of(wanted, there)
    assert list(filter_repo_objects(there, allow_patterns=found)) == wanted


def test_names_without_a_list_are_exact() -> None:
    assert patterns_of(["README.md", "a[0].md"], []) == ["README.md", "a[[]0].md"]
