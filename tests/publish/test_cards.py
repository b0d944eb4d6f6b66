"""What a card says, and that nothing of others in it is read as Markdown, HTML, YAML or a link."""

import json
import re
from types import SimpleNamespace
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]  # has none
from huggingface_hub import DatasetCard
from markdown_it import MarkdownIt
from markdown_it.token import Token

from stir_hf.errors import RequestError
from stir_hf.publish.cards import BEGIN, END
from stir_hf.publish.parcel import ScoreFiles
from stir_hf.publish.scores import LARGEST
from stir_hf.report.cards import MOST_ROWS, Held, Shown, tables
from stir_hf.report.reading import FEW, GOOD_CEILING, LEAST_RANGE, LOW_CEILING
from tests.publish.held import COMMIT, HOSTILE, row, shown, text_of

ROOT = "https://huggingface.co"
ALLOWED = (f"{ROOT}/lab/", f"{ROOT}/datasets/lab/", "https://arxiv.org/abs/2206.11939", "figures/")
PLACE = f"stir-hf @ git+https://example.org/lab/stir-hf.git@{COMMIT}"


def tokens(text: str) -> list[Token]:
    """Every token of a card's Markdown, those inside a line included."""
    body = re.sub(r"\A---\n.*?\n---\n", "", text, flags=re.S)
    found = MarkdownIt("commonmark").enable(["table", "strikethrough"]).parse(body)
    return [one for token in found for one in (token, *(token.children or ()))]


def lines(text: str) -> int:
    return sum(token.type == "tr_open" for token in tokens(text))


def structure(text: str) -> list[str]:
    """What kinds of things a card consists of, but for code in place of a link."""
    skipped = {"text", "softbreak", "link_open", "link_close", "code_inline", "inline"}
    return [token.type for token in tokens(text) if token.type not in skipped]


def links(text: str) -> set[str]:
    names = {"a": "href", "img": "src"}
    return {str(t.attrs[names[t.tag]]) for t in tokens(text) if names.get(t.tag, "") in t.attrs}


def bare(text: str) -> str:
    """What is neither code nor a link: in it renderers look for addresses."""
    depth, found = 0, []
    for token in tokens(text):
        depth += token.nesting if token.type.startswith("link_") else 0
        found += [token.content] if token.type == "text" and depth == 0 else []
    return " ".join(found)


def named(name: str) -> Held:
    """A repo in which everything that has a name is called so."""
    texts = ("model", "layer", "reference", "measure", "dataset", "split")
    score = row(**dict.fromkeys(texts, name), notes=[name], model_revision=None)
    score |= {"reference_revision": None, "dataset_revision": None}
    same = dict.fromkeys(("reference", "layer", "dataset", "config_name", "split"), name)
    one = shown(**same, notes=[name.strip() or "none"], revision=None, data_revision=None)
    one = Shown(one.slug, {**one.record, "licence": name}, one.size, one.picture)
    return Held([one], [score, {**row(), **score, "num_samples": 40}])


@pytest.mark.parametrize("name", HOSTILE, ids=lambda name: repr(name)[:30])
def test_a_name_is_nothing_but_a_name(name: str) -> None:
    text = text_of(named(name))
    assert structure(text) == structure(text_of(named("plain")))
    assert all(one.startswith(ALLOWED) for one in links(text)), links(text)
    assert [t.content for t in tokens(text) if t.type.startswith("html")] == [
        "<!-- stir-hf: begin; what stands between these marks is written anew by every push -->\n",
        f"{END}\n",
    ]
    assert not re.search(r"://|www\.|@", bare(text))
    data: Any = DatasetCard(text).data.to_dict()  # type: ignore[no-untyped-call]  # has none
    assert set(data) <= {
        *("pretty_name", "task_categories", "tags", "size_categories", "source_datasets"),
        *("license", "configs"),
    }
    assert re.findall(rf"^(?:{BEGIN}|{END})", text, re.M) == [BEGIN, END]
    assert text.isascii() or all(c.isprintable() or c == "\n" for c in text)
    assert max(map(len, text.splitlines())) < 2500
    assert text_of(named(name), text) == text


@pytest.mark.parametrize("name", HOSTILE, ids=lambda name: repr(name)[:30])
def test_a_name_with_a_commit_leads_nowhere_else(name: str) -> None:
    """A row of others may give any commit beside any name."""
    for commit in (COMMIT, f"{COMMIT})](http://evil.example", name):
        text = text_of(Held([], [row(name, model_revision=commit, reference=name)]))
        assert all(one.startswith(ALLOWED) for one in links(text)), links(text)
        assert lines(text) == 2


def test_a_score_that_is_too_large_is_not_fetched(caplog: pytest.LogCaptureFixture) -> None:
    files = {"scores/x.parquet": SimpleNamespace(size=LARGEST + 1, blob_id="a")}
    state: Any = SimpleNamespace(files=files, repo_id="lab/x", local=pytest.fail)
    assert ScoreFiles({}).rows(state) == ([], 0)
    assert "left out of the card: scores/x.parquet of dataset lab/x cannot be used" in caplog.text


def test_names_that_are_none_are_shown_as_they_are() -> None:
    text = text_of(Held([], [row("<b>x</b>", model_revision=None)]))
    assert "`<b>x</b>`" in text
    (code,) = {t.content for t in tokens(text) if t.type == "code_inline" and "<b>" in t.content}
    assert code == "<b>x</b>"


def test_scores_stand_best_first_by_the_debiased_value() -> None:
    rows = [
        row("lab/lucky", stir=0.99, stir_debiased=-0.166),
        row("lab/second", stir=0.3, stir_debiased=0.2),
        row("lab/first", stir=0.2, stir_debiased=0.3),
        row("lab/none", stir=None, stir_debiased=None),
    ]
    text = text_of(Held([shown()], rows))
    places = [text.index(f"[lab/{name}]") for name in ("first", "second", "lucky", "none")]
    assert places == sorted(places)
    (line,) = [one for one in text.splitlines() if "lab/lucky" in one and "|" in one]
    assert line.endswith("⚠ | 0.990 | -0.166 | 0.000 | 0.998 | 60 | 90% |")
    assert "⚠: the score is not to be believed, for a reason below." in text
    assert "⚠" not in text_of(Held([shown()], rows[1:3]))


def test_a_plain_score_does_not_stand_in_the_column_of_debiased_ones() -> None:
    plain = {"stir_debiased": None, "floor_debiased": None, "ceiling_debiased": None}
    text = text_of(Held([], [row("lab/plain", stir=0.99, **plain), row("lab/one")]))
    (line,) = [one for one in text.splitlines() if "lab/plain" in one and "|" in one]
    assert line.endswith("⚠ | 0.990 | – | – | – | 60 | 90% |")
    assert text.index("[lab/one]") < text.index("[lab/plain]")


def test_a_card_gives_the_limits_that_it_judges_by() -> None:
    told = text_of(Held([], [row()])).partition("## When not to believe a score")[2]
    for limit in (f"below {LOW_CEILING:g})", f"less than {LEAST_RANGE:g} above the floor"):
        assert limit in told
    assert FEW == 0.5
    assert f"(less than half) and the ceiling is below {GOOD_CEILING:g}:" in told


def test_a_score_without_a_floor_has_no_mark() -> None:
    text = text_of(Held([], [row(floor=None, floor_debiased=None)]))
    assert "⚠" not in text
    assert "cannot be told from these 60 samples: it has no floor or no ceiling." in text


def test_scores_that_may_not_be_compared_have_a_table_each() -> None:
    others: tuple[dict[str, Any], ...] = (
        {"inversion_set": "f" * 16},
        {"layer": "early"},
        {"measure": "rbf_cka"},
        {"num_samples": 30},
        {"draws": 2},
    )
    rows = [row(), *(row(**one) for one in others)]
    found = tables(rows, [])
    assert [len(one.rows) for one in found] == [1] * 6
    text = text_of(Held([], rows))
    assert text.count("| model | STIR | debiased | floor | ceiling | n | converged |") == 6


def test_a_score_of_others_does_not_rename_the_table_that_it_is_in() -> None:
    one = shown()
    forged = row("lab/top", stir_debiased=0.99, reference="lab/evil", dataset="lab/evil")
    own = {"inversion_set": one.manifest.hash[:16]}
    for text in (
        text_of(Held([one], [{**forged, **own}, row(**own)])),
        text_of(Held([], [forged, row(), row("lab/two")])),
    ):
        assert "### Ignoring what [lab/robust-0]" in text
        assert f"[lab/images]({ROOT}/datasets/lab/images/tree/{COMMIT})" in text
        assert "lab/evil" not in text


def test_a_long_table_ends_with_the_number_that_is_left() -> None:
    text = text_of(Held([], [row(f"lab/m{i}", stir_debiased=i / 100) for i in range(70)]))
    assert lines(text) == 1 + MOST_ROWS
    assert "… and 20 more." in text
    assert "[lab/m69]" in text
    assert "[lab/m19]" not in text


def test_the_example_is_of_the_cards_own_numbers_or_says_nothing() -> None:
    text = text_of(Held([shown()], [row("lab/one", stir_debiased=0.7), row("lab/two")]))
    assert (
        "- 0.80 [0.70, 0.90] (debiased; floor 0.00, ceiling 1.00): `lab/two` ignores between most"
        " and nearly everything that `lab/robust-0` ignores." in text
    )
    low = text_of(Held([shown()], [row(ceiling_debiased=0.3)]))
    assert (
        "cannot be told from these 60 samples: the inversions did not work, since the ceiling,"
        " 0.300, is below 0.9." in low
    )
    assert "For example" not in text_of(Held([shown()]))


def test_a_reference_on_its_own_inversions_is_no_example() -> None:
    own = row("lab/robust-0@main", stir_debiased=0.998)
    text = text_of(Held([], [own, row("lab/one", stir_debiased=0.7)]))
    assert "0.70 [0.60, 0.80] (debiased; floor 0.00, ceiling 1.00): `lab/one` ignores" in text
    assert "`lab/robust-0@main` ignores" not in text
    assert "1.00 [0.90, 1.10] (debiased" in text_of(Held([], [own]))


def test_a_card_of_inversions_has_what_a_user_of_the_hub_needs() -> None:
    held = Held([shown(), shown("other", dataset="lab/more")], [row()], figures=["figures/m.png"])
    text = text_of(held, place=PLACE)
    assert "# Which models ignore what robust-0 ignores? Inversions of images and more\n" in text
    for part in (
        f'pip install "{PLACE}"',
        "stir-hf score MODEL --inversions lab/iris --push-to lab/iris --create-pr",
        'load_dataset("lab/iris", "robust-0", split="test")',
        'load_dataset("lab/iris", "scores", split="scores")',
        "](figures/m.png)",
        "![Originals above their inversions: the first images](figures/robust-0.png)",
        "| inversions | 2 per image, stored exactly, as floats (`--exact`) |",
        "| size | 128 kB |",
        "| canvas | image 1×28×30 `L`",
        "| licence of the images | mit |",
        "0.031 (median), 0.090 (95th percentile); 3 % at or below the tolerance",
        "[https://example.org/lab/stir-hf](https://example.org/lab/stir-hf)",
        "- 3 images left out that could not be read: 1, 2, 3",
        "@COMMIT` in the command above",
    ):
        assert part in text
    order = ["## Scores", "## What a score means", "## When not to believe", "## Add your own"]
    order += ["## Load the pairs", "## Set `robust-0`", "## Uses and limits", "## Links"]
    places = [text.index(one) for one in [*order, "## Citation"]]
    assert places == sorted(places)
    assert "identical" not in text
    for set_ in held.sets:
        assert f"note         = {{set {set_.manifest.hash[:16]}, commit COMMIT}}" in text


def test_a_card_without_a_known_place_says_whom_to_ask() -> None:
    text = text_of(Held([shown()]))
    assert "pip install" not in text
    assert f"[ask the owner of this repo]({ROOT}/datasets/lab/iris/discussions)" in text
    assert "- Package" not in text


def test_scores_alone_have_a_card_of_their_own_until_sets_come() -> None:
    alone = text_of(Held([], [row()]))
    assert "# Which models ignore what robust-0 ignores? Scores on images\n" in alone
    assert "the pairs themselves are not in this repo" in alone
    data: Any = DatasetCard(alone).data
    assert [one["config_name"] for one in data.get("configs")] == ["scores"]
    assert "model-inversion" not in data.get("tags")
    assert "Inversions of" not in alone.partition("bibtex")[0]
    assert "scores one on this repo" not in alone
    both = text_of(Held([shown()], [row()]), alone)
    data = DatasetCard(both).data
    assert [one["config_name"] for one in data.get("configs")] == ["robust-0", "scores"]
    assert (
        data.get("pretty_name") == "Which models ignore what robust-0 ignores? Inversions of images"
    )
    assert "model-inversion" in data.get("tags")
    assert "Scores on images" not in both
    assert both.count(BEGIN) == 1


def test_what_others_wrote_stays() -> None:
    own = "viewer: false\nextra: ''\nnone: []\n"
    before = f"---\npretty_name: Mine\nlicense: mit\nmine: 1\n{own}---\n# Hello\n"
    text = text_of(Held([shown()], [row()]), before)
    after = text.replace(END, f"{END}\n\nBelow.")
    again = text_of(Held([shown()], [row(), row("lab/two")]), after)
    head = yaml.safe_load(again.split("---\n")[1])
    assert (head["pretty_name"], head["license"], head["mine"]) == ("Mine", "mit", 1)
    assert (head["viewer"], head["extra"], head["none"]) == (False, "", [])
    assert again.index("# Hello") < again.index(BEGIN)
    assert again.rstrip().endswith(f"{END}\n\nBelow.")


def test_a_broken_record_of_a_set_names_it() -> None:
    good = shown()
    for name in ("names", "identity", "complete", "figures"):
        bad = Shown("mine", {**good.record, name: 5})
        with pytest.raises(RequestError, match=r"lab/iris: mine/inversions\.json is broken"):
            text_of(Held([bad]))
    with pytest.raises(RequestError, match=r"mine/inversions\.json is broken"):
        Shown.read("mine", json.dumps([1]).encode())


@pytest.mark.parametrize(
    "head",
    ["configs: abc", "configs:\n- abc", "configs: {a: b}", "tags: 5", "1: 2", "- a", "a: [b"],
)
def test_a_card_whose_yaml_holds_something_else_is_one_line(head: str) -> None:
    with pytest.raises(RequestError, match="the card of lab/iris cannot be read: "):
        text_of(Held([shown()]), f"---\n{head}\n---\n# Mine\n")


def test_the_task_of_a_card_is_that_of_its_inputs() -> None:
    images = shown()
    identity = {**images.record["identity"], "canvas": {"kind": "vector", "length": 5}}
    vectors = Shown("other", {**images.record, "identity": identity})
    tasks = {"image-feature-extraction": [images], "feature-extraction": [vectors]}
    for task, sets in tasks.items():
        assert DatasetCard(text_of(Held(sets))).data["task_categories"] == [task]
    assert DatasetCard(text_of(Held([images, vectors]))).data["task_categories"] == [*tasks]


@pytest.mark.parametrize("before", ["", "# Mine\n", "---\n---\n# Mine\n", "---\na: 1\n# Mine\n"])
def test_a_card_without_metadata_gets_them_and_nobody_warns(
    before: str, caplog: pytest.LogCaptureFixture
) -> None:
    text = text_of(Held([shown()]), before)
    assert caplog.text == ""
    assert text.count("\n---\n") == 1 + before.count("---\na: 1")
    assert ("# Mine" in text) == ("# Mine" in before)
    assert text_of(Held([shown()]), text) == text
