"""A result of the page goes to the visitor's own repo, by the visitor's own token."""

import json
from pathlib import Path

import pytest

from stir_hf.demo import IMAGES, model_path
from tests.publish.clients import Client
from tests.stand_in_hub import serve

VISIT = """
import json, os
import gradio as gr
from stir_hf.space import handlers
os.environ |= {"OAUTH_CLIENT_ID": "of the Space", "SYSTEM": "spaces"}
models = ("lab/robust", "lab/standard")
*_, (html, key, _) = handlers.compare(*models, "lab/images", "", None, "", 16, 10)
asked = {
    "unsigned": ("lab/mine", None),
    "a path": ("/tmp/x", "hf_lab"),
    "another's": ("other/mine", "hf_lab"),
    "mine": ("lab/mine", "hf_lab"),
}
def push(key, repo, token):
    signed = token and gr.OAuthToken(token, "", 0)
    return list(handlers.push(key, repo, signed))[-1]
answers = {name: push(key, repo, token) for name, (repo, token) in asked.items()}
answers["a revision"] = push(key, "lab/mine@main", "hf_lab")
answers["a bad token"] = push(key, "lab/mine", "hf_nobody")
answers["nothing"] = push("guessed", "lab/mine", "hf_lab")
print("ANSWER" + json.dumps(answers))
"""

JUDGE = """
from stir_hf.space import handlers
print(list(handlers.judge("lab/mine", "standard-1"))[-1])
"""


@pytest.mark.verify
def test_a_result_is_pushed_by_who_asked(tmp_path: Path) -> None:
    with serve() as hub:
        hub.add("model", "lab/robust", Path(model_path("robust-0")))
        hub.add("model", "lab/standard", Path(model_path("standard-0")))
        hub.add("dataset", "lab/images", IMAGES)
        owner = Client(hub, tmp_path / "home", token="hf_other")  # the Space's own, never used
        told = json.loads(owner.python(VISIT).rpartition("ANSWER")[2])
        assert "sign in first" in told["unsigned"]
        assert "is no Hub id" in told["a path"]
        assert "other" in told["another's"]
        assert 'class="stir-problem"' in told["another's"]
        assert "has a revision; expected NAMESPACE/NAME" in told["a revision"]
        assert "the Hub does not accept the token: sign out, and in again" in told["a bad token"]
        for answer in told.values():
            for words in ("--to", "--create-pr", "hf auth login"):
                assert words not in answer
        assert "there is no result to push" in told["nothing"]
        assert "Pushed to" in told["mine"]
        repo = hub.repo("dataset", "lab/mine")
        assert repo.private
        files = repo.at("main").files
        assert sum(name.endswith("inversions.json") for name in files) == 2
        assert any(name.startswith("scores/") for name in files)
        assert ("dataset", "other/mine") not in hub.repos
        repo.private = False  # its owner opens it; judging reads without a token
        judged = owner.python(JUDGE)
        assert "standard-1, given robust" in judged
        assert "Leaderboard given lab/standard" in judged
        board = judged.partition("<caption>Leaderboard")[2]
        assert "lab/" in board.partition("</table>")[0], board[:900]
