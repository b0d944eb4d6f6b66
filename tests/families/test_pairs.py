"""Both directions of a pair, one of each kind of family against another, through the command line:
from folders, and from the Hub.
"""

import json
from pathlib import Path

import pytest

from stir_hf.demo import IMAGES
from tests.families.checkpoints import build
from tests.publish.clients import Client
from tests.stand_in_hub import serve

PAIRS = {
    "convolutional": ("convnext", "regnet"),
    "with CLS": ("vit", "dinov2 (backbone)"),
    "without CLS": ("ijepa", "siglip_vision_model"),
    "hierarchical": ("swin", "hiera"),
    "two towers": ("clip", "siglip"),
    "segmentation": ("segformer (segmentation)", "upernet"),
}
QUICK = ["--num-samples", "12", "--steps", "20", "--device", "cpu", "--json"]


@pytest.mark.verify
@pytest.mark.parametrize("kind", PAIRS)
def test_a_pair_from_folders_and_from_the_hub(kind: str, tmp_path: Path) -> None:
    folders = [tmp_path / name.split()[0] for name in PAIRS[kind]]
    for name, folder in zip(PAIRS[kind], folders, strict=True):
        build(name, folder)
    with serve() as hub:
        for folder in folders:
            hub.add("model", f"lab/{folder.name}", folder)
        client = Client(hub, tmp_path / "home")
        found = []
        for models in (folders, [f"lab/{folder.name}" for folder in folders]):
            done = client.run("compare", *models, "--dataset", IMAGES, *QUICK)
            assert done.returncode == 0, done.stderr
            found.append(json.loads(done.stdout)["scores"])
    local, remote = found
    assert [score["reference"] for score in remote] == [
        f"lab/{folder.name}" for folder in reversed(folders)
    ]
    for one, other in zip(local, remote, strict=True):
        assert one["num_samples"] == 12
        assert 0 <= one["stir"] <= 1
        assert one["stir"] == pytest.approx(other["stir"], abs=1e-6)
        assert one["ceiling"] > one["floor"]
