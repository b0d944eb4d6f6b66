"""A board of 20 models of which three are hostile, on the stand-in Hub."""

import json
import math
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]  # has none

from stir_hf.data.identity import hash_of
from stir_hf.publish import score_rows, scores
from tests.publish.clients import Client
from tests.publish.rows import HOSTILE, ROW
from tests.stand_in_hub import Fault, StandInHub, serve

BOARD = "lab/board"
SPOILT = 6
"""Files that no board can use."""


def scored(model: str, revision: str | None, debiased: float | None, **changed: Any) -> Any:
    """A row whose network is that of its model and revision."""
    network = hash_of([model, revision])[:16]
    plain = None if debiased is None else min(1.0, 0.1 + 0.9 * abs(debiased))
    values = {"stir": plain, "stir_debiased": debiased, "network_id": network}
    return {**ROW, "model": model, "model_revision": revision, **values, **changed}


def published(commits: dict[str, str]) -> list[dict[str, Any]]:
    """The scores of 20 models; some have several."""
    plain = [scored(name, commits[name], 0.9 - i / 20) for i, name in enumerate(commits)]
    first, second, third = list(commits)[:3]
    return [
        *plain,
        scored(first.upper(), commits[first], 0.9, left_out=1),
        scored("lab/once", commits[second], 0.2, left_out=3),
        scored("lab/copied", "1" * 40, 0.79, network_id=plain[2]["network_id"], left_out=2),
        scored(f"{third}@v0", "2" * 40, 0.11),
        scored("robust-0#a741a4ca", None, 0.5, notes=["a note", "a note", HOSTILE]),
        scored("lab/inflated", "3" * 40, -0.166, stir=0.802, floor_debiased=-0.02),
        scored("lab/low-ceiling", "4" * 40, 0.4, ceiling_debiased=0.3, ceiling=0.5),
        scored(
            "lab/few",
            "5" * 40,
            0.3,
            converged=0.03,
            ceiling_debiased=0.93,
            notes=["97% did not reach it"],
        ),
        scored("lab/undefined", "6" * 40, None, stir=0.99),
        scored("lab/early", "7" * 40, 0.7, layer="early"),
        scored(HOSTILE, None, 0.45, reference=HOSTILE, dataset=HOSTILE, split=HOSTILE),
        scored("evil\n| 1 | forged | 1.000 |", None, 0.44),
        scored("[x](http://evil) <script>alert(1)</script> `|` \\|", "8" * 40, 0.43),
    ]


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StandInHub]:
    folder = tmp_path_factory.mktemp("scores")
    with serve() as hub:
        names = [f"lab/m{i:02d}" for i in range(11)]
        commits = {name: hub.add("model", name, {"README.md": b""}) for name in names}
        for row in published(commits):
            score_rows.write(row, folder)
        files = {f"scores/{path.name}": path.read_bytes() for path in folder.iterdir()}
        some = next(iter(files.values()))
        files["scores/five.parquet"] = bad(folder, stir=5.0)
        files["scores/nan.parquet"] = bad(folder, stir_debiased=math.nan)
        files["scores/page.parquet"] = b"<!doctype html><html>404</html>"
        files["scores/cut.parquet"] = some[:-50]
        files["scores/\x1b[31m\u202ename.parquet"] = b"PAR1"
        files["scores/large.parquet"] = bytes(scores.LARGEST + 1)
        files |= {"scores/deep/x.parquet": b"", "scores/readme.txt": b""}
        hub.add("dataset", BOARD, {"README.md": b"", "eval.yaml": b"name: x\n", **files})
        told = "set={}; layer=penultimate; measure=linear_cka; n={}; draws=1; stir_debiased={}"
        claims = [
            (0.97, told.format("c" * 16, 100, 0.96)),
            (5.0, told.format("c" * 16, 100, 0.9)),
            (0.9, told.format("\x1b[2J", 100, 0.9)),
            (0.9, told.format("c" * 16, -1, 0.9)),
            (0.9, told.format("0" * 16, 100, 0.9)),  # a board of its own, behind the others
        ]
        entries = [
            {"dataset": {"id": BOARD, "task_id": "x"}, "value": value, "notes": notes}
            for value, notes in claims
        ]
        text = yaml.safe_dump(entries).encode()
        hub.add("model", "other/claims", {".eval_results/a.yaml": text})
        yield hub


def bad(folder: Path, **changed: Any) -> bytes:
    return score_rows.write({**ROW, "model": "evil/high", **changed}, folder / "bad").read_bytes()


@pytest.fixture(autouse=True)
def renamed(hub: StandInHub) -> None:
    """The Hub answers `lab/once` with the name that it has now."""
    hub.faults.clear()
    hub.seen.clear()
    where = {
        "Location": f"/api/models/lab/m01/revision/{hub.repo('model', 'lab/m01').at('main').sha}"
    }
    hub.faults.append(Fault("GET", "/api/models/lab/once", status=307, headers=where))


@pytest.fixture
def client(hub: StandInHub, tmp_path: Path) -> Client:
    return Client(hub, tmp_path / "home")


def test_the_board_as_json(client: Client, hub: StandInHub) -> None:
    text = client.done("leaderboard", BOARD, "--json")
    found = json.loads(text, parse_constant=pytest.fail)
    *_, claimed = found["boards"]
    assert [line["reported"] for line in claimed["lines"]] == [True]
    other, board = sorted(found["boards"][:-1], key=lambda one: len(one["lines"]))
    assert (other["layer"], [line["model"] for line in other["lines"]]) == ("early", ["lab/early"])
    assert (board["reference"], board["dataset"]) == ("lab/robust-0", "lab/images")
    assert len(found["left_out"]) == SPOILT + 3
    for name in ("five", "nan", "page", "cut", "large"):
        (line,) = [line for line in found["left_out"] if f"scores/{name}.parquet" in line]
        assert re.search(f"of dataset {BOARD} at [0-9a-f]{{8}} cannot be used: ", line)
    assert board["commit"] == hub.repo("dataset", BOARD).at("main").sha
    lines = {line["model"]: line for line in board["lines"]}
    assert len(lines) == len(board["lines"]) - 1  # m02 stands with two commits
    assert "lab/once" not in lines
    assert "lab/copied" not in lines
    assert "LAB/M00" not in lines
    ranks = [line["stir_debiased"] for line in board["lines"] if line["stir_debiased"] is not None]
    assert ranks == sorted(ranks, reverse=True)
    assert board["lines"][-1]["model"] == "lab/undefined"
    assert board["lines"][0]["model"] == "other/claims"
    assert [len(lines[name]["also"]) for name in ("lab/m00", "lab/m01", "lab/m03")] == [1, 1, 0]
    assert lines["lab/m00"]["revision"] == hub.repo("model", "lab/m00").at("main").sha
    marks = {name: line["marks"] for name, line in lines.items() if line["marks"]}
    assert marks == {
        "other/claims": ["reported"],
        "lab/m01": ["several"],
        "lab/inflated": ["floor"],
        "lab/low-ceiling": ["ceiling"],
        "lab/few": ["converged"],
        "lab/undefined": ["undefined"],
    }
    first = lines["lab/m00"]
    assert first["between"] == pytest.approx((0.9 + 0.01) / (0.99 + 0.01))


def test_the_board_in_words(client: Client) -> None:
    done = client.run("leaderboard", BOARD)
    assert done.returncode == 0, done.stderr
    other, _, text = done.stdout.partition("\n\n## ")
    text = f"## {text}"
    assert "at layer early" in other
    words = " ".join(text.split())
    assert text.startswith("## Which models ignore what lab/robust-0@bbbbbbbb ignores?\n")
    assert "For each of 100 samples of lab/images (test[:100]), another" in words
    text = text.partition("\n\n## ")[0]
    rows = [line for line in text.splitlines() if line.startswith("|")]
    assert len(rows) == 2 + 21
    for row in rows:
        assert len(re.findall(r"(?<!\\)(?:\\\\)*\|", row)) == 12
    assert re.search(r"\| +\d+ \| lab/inflated@33333333 † +\| -0.166 ", text)
    assert "† the score is not above its floor" in text
    place = re.findall(r"\| (\d+) +\| (lab/few@|robust-0#)", text)
    assert [f"- Note on {n}: a note" in text for n, name in place] == [True, False]
    assert [f"- Note on {n}: 97% did not reach it" in text for n, name in place] == [False, True]
    assert re.search(r"- Note on 2–10, .*: 10% of the inversions", text)
    assert text.count("10% of the inversions did not reach it") == 1
    assert all(char.isprintable() or char == "\n" for char in done.stdout + done.stderr)
    assert done.stderr.count("left out: ") == SPOILT + 3
    assert "nan" not in text.lower().replace("scores/nan", "")


def test_each_model_is_asked_once_and_torch_not_at_all(client: Client, hub: StandInHub) -> None:
    code = (
        "import sys; from stir_hf.cli import main\n"
        "main(sys.argv[1:])\n"
        "heavy = ('torch', 'transformers', 'datasets', 'pandas', 'matplotlib')\n"
        "print([name for name in heavy if name in sys.modules])\n"
    )
    done = subprocess.run(  # a new interpreter: others have loaded torch
        [sys.executable, "-c", code, "leaderboard", BOARD],
        env=client.env(),
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.splitlines()[-1] == "[]"
    asked = [path for path in hub.seen if path.startswith("GET /api/models/")]
    names = [path.split("/")[4].casefold() for path in asked]
    assert names.count("m01") == 2  # by its own name, and by that of before
    assert len(names) == len(set(names)) + 1


def test_two_versions_of_a_model_are_two_lines(
    client: Client, hub: StandInHub, tmp_path: Path
) -> None:
    rows = [
        scored("other/two", str(i) * 40, 0.5 + i / 10, stir=v) for i, v in enumerate([0.7, 0.8])
    ]
    rows.append(scored("other/two", "2" * 40, 0.4, stir=0.8))
    told = "set={inversion_set}; layer={layer}; measure={measure}; n={num_samples}; draws={draws}"
    task = {"id": "lab/two", "task_id": "x"}
    claims = [{"dataset": task, "value": r["stir"], "notes": told.format(**r)} for r in rows[:2]]
    results = {".eval_results/a.yaml": yaml.safe_dump(claims).encode()}
    hub.add("model", "other/two", results)
    paths = [score_rows.write(row, tmp_path) for row in rows]
    files = {f"scores/{path.name}": path.read_bytes() for path in paths}
    hub.add("dataset", "lab/two", {"eval.yaml": b"name: x\n", **files})
    (board,) = client.json("leaderboard", "lab/two")["boards"]
    assert sorted(line["revision"][0] for line in board["lines"]) == ["0", "1", "2"]
    assert sorted(len(line["also"]) for line in board["lines"]) == [0, 1, 1]


@pytest.mark.verify
def test_offline_the_board_stands_as_its_scores_name_it(client: Client, hub: StandInHub) -> None:
    client.done("leaderboard", BOARD)
    hub.seen.clear()
    boards = client.json("leaderboard", BOARD, HF_HUB_OFFLINE="1")["boards"]
    names = [line["model"] for board in boards for line in board["lines"]]
    assert "lab/once" in names
    assert "other/claims" not in names
    assert not hub.seen


@pytest.mark.verify
def test_a_hub_without_an_answer_on_models_does_not_end_the_board(
    client: Client, hub: StandInHub
) -> None:
    hub.faults[:] = [Fault("GET", "/api/models/", status=500)] * 60
    done = client.run("leaderboard", BOARD)
    assert done.returncode == 0
    assert "a model that was renamed may stand twice" in done.stderr
    assert len([path for path in hub.seen if path.startswith("GET /api/models/")]) <= 8


ADDRESSES = (
    "https://example.com/a/b",
    "hf://./a",
    "https://huggingface.co/a/b/blob/main/x",
    "file:///etc/passwd",
)


@pytest.fixture
def addresses(hub: StandInHub, tmp_path: Path) -> None:
    """A repo with scores of models whose names are addresses, and one other."""
    rows = [scored(name, str(i) * 40, 0.5, reference=name) for i, name in enumerate(ADDRESSES)]
    paths = [score_rows.write(row, tmp_path) for row in [*rows, ROW]]
    files = {f"scores/{path.name}": path.read_bytes() for path in paths}
    hub.add("dataset", "lab/addresses", {"README.md": b"", **files})


@pytest.mark.verify
@pytest.mark.usefixtures("addresses")
def test_names_that_are_addresses_do_not_end_the_board(client: Client) -> None:
    (board,) = client.json("leaderboard", "lab/addresses")["boards"]
    assert {line["model"] for line in board["lines"]} == {*ADDRESSES, "lab/robust-1"}
    client.done("leaderboard", "lab/addresses")


@pytest.mark.usefixtures("addresses")
def test_a_hub_that_goes_away_is_waited_for_once(client: Client, hub: StandInHub) -> None:
    code = """
import sys
from types import SimpleNamespace
from stir_hf.errors import RequestError
from stir_hf.hub import retry
from stir_hf.publish.boards.leaderboard import collect

slept = []
retry.time = SimpleNamespace(sleep=slept.append)
try:
    collect(sys.argv[1])
except RequestError:
    print(sum(slept))
"""
    hub.faults += [Fault("GET", "/resolve/.*/scores/", status=503)] * 300
    assert float(client.python(code, "lab/addresses")) == client.patience


@pytest.mark.verify
def test_a_file_that_the_hub_does_not_give_is_left_out(client: Client, hub: StandInHub) -> None:
    gone = next(p for p in hub.repo("dataset", BOARD).at("main").files if p.startswith("scores/0"))
    methods = ["GET", "HEAD"] * 10
    hub.faults[:] = [Fault(method, f"resolve/.*/{gone}", status=403) for method in methods]
    found = client.json("leaderboard", BOARD)
    assert [line for line in found["left_out"] if gone in line]
    assert sum(len(board["lines"]) for board in found["boards"]) >= 20


def test_from_python_and_in_a_notebook(client: Client) -> None:
    code = (
        "import stir_hf, sys\n"
        f"board = max(stir_hf.leaderboard('{BOARD}'), key=lambda one: len(one.lines))\n"
        "assert isinstance(board, stir_hf.Board)\n"
        "frame = board.to_pandas()\n"
        "assert len(frame) == len(board.lines) and frame['stir_debiased'].notna().sum() == 20\n"
        "assert str(board).startswith('## Which')\n"
        "print(board._repr_html_())\n"
    )
    text = client.python(code)
    assert "<script>" not in text
    assert "&lt;script&gt;" in text
    assert text.count("<tr>") == 22
    assert "\x1b" not in text
    assert re.search(r'<a href="http[^"]*/lab/m00/tree/[0-9a-f]{40}">lab/m00@[0-9a-f]{8}</a>', text)
    assert "javascript" not in text


def test_only_broken_scores_are_a_line(client: Client, hub: StandInHub) -> None:
    hub.add("dataset", "lab/broken", {"README.md": b"", "scores/x.parquet": b"<html>"})
    line = client.refused(2, "leaderboard", "lab/broken")
    assert "holds no scores that can be used" in line


def test_a_folder_is_no_repo(client: Client, tmp_path: Path) -> None:
    line = client.refused(2, "leaderboard", tmp_path)
    assert "is a folder here; give a dataset repo, NAMESPACE/NAME" in line
