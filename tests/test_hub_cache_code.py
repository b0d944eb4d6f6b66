"""What the Hub's cache lacks while the Hub is not asked, where the rest is there: the content of a
file, or code that a configuration asks for.
"""

import json
import os
from pathlib import Path

import pytest

from stir_hf import RequestError
from stir_hf.hub import Found
from stir_hf.models.load.files import Place, code_told
from stir_hf.models.load.messages import readable
from tests import warm
from tests.stand_in_hub import serve
from tests.test_hub import ask
from tests.test_hub_cache import FETCH, MODEL, SWITCHED_OFF

GONE = ("preprocessor_config.json", "model.safetensors", "config.json")
CONFIG = "from transformers import ViTConfig\nfrom .part import x\nclass Own(ViTConfig): pass\n"


def test_a_file_whose_content_is_gone(demo: Path, tmp_path: Path) -> None:
    folder, home = demo / "models" / "robust-0", tmp_path / "home"
    with serve() as hub:
        for i in range(3):
            hub.add("model", f"lab/gone-{i}", {n: (folder / n).read_bytes() for n in MODEL})
        env = {**os.environ, "HF_ENDPOINT": hub.url, "HF_HOME": str(home)}
        wanted = json.dumps([("model", f"lab/gone-{i}", MODEL) for i in range(3)])
        warm.run(["-c", FETCH, wanted], env, 120).check_returncode()
    for i, name in enumerate(GONE):
        (link,) = (home / "hub" / f"models--lab--gone-{i}").glob(f"snapshots/*/{name}")
        link.resolve().unlink()
    questions = {name: {"model": f"lab/gone-{i}"} for i, name in enumerate(GONE)}
    answers = ask(questions, "http://127.0.0.1:9", home, offline=True)
    for i, name in enumerate(GONE):
        told = f"{name} of model 'lab/gone-{i}' is not in the cache, and {SWITCHED_OFF}"
        assert answers[name]["error"] == told


@pytest.mark.parametrize("lacking", ["own.py", "part.py"])
def test_code_that_is_not_in_the_cache(lacking: str, tmp_path: Path) -> None:
    from transformers import AutoConfig

    about = {"model_type": "own", "auto_map": {"AutoConfig": "own.Own"}}
    (tmp_path / "config.json").write_text(json.dumps(about))
    for name, code in (("own.py", CONFIG), ("part.py", "x = 1\n")):
        if name != lacking:
            (tmp_path / name).write_text(code)
    found = Found("lab/own", "model", "0" * 40, reachable=False, listed=False)

    def load(place: Place) -> None:
        with code_told(place), readable("lab/own"):
            AutoConfig.from_pretrained(str(tmp_path), trust_remote_code=True)

    told = rf"^{lacking} of model 'lab/own' is not in the cache, and the Hub cannot be reached$"
    with pytest.raises(RequestError, match=told):
        load(Place(tmp_path, None, repo=found))
    with pytest.raises(RequestError, match=r"^model lab/own cannot be loaded"):
        load(Place(tmp_path, None))
