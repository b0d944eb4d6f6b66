"""Settings of a configuration that change what a pass gives: overridden for a pass, and given back
as they were.
"""

import json
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers as tf

from stir_hf import compare, load_encoder
from stir_hf.models.run.settings import Settings
from tests.conftest import TinyModels
from tests.families.checkpoints import processor_of
from tests.families.zoo import MEMBERS
from tests.models.networks import IMAGES
from tests.tiny import QUICK, SEES, noise_images, pixels_of

SET: dict[str, dict[str, Any]] = {
    "return_dict": {"return_dict": False},
    "states": {"output_hidden_states": True, "_output_attentions": True},
    "some states": {"output_hidden_states": [0]},
    "cache": {"use_cache": True, "return_dict": False},
}


def configurations(model: Any) -> list[Any]:
    """Those of all modules, and those inside of them."""
    found = {id(m.config): m.config for m in model.modules() if hasattr(m, "config")}
    for name in ("backbone_config", "vision_config", "text_config"):
        inner = [getattr(config, name, None) for config in found.values()]
        found |= {id(one): one for one in inner if one is not None}
    return list(found.values())


@pytest.mark.parametrize("settings", SET)
@pytest.mark.parametrize(
    ("name", "layer"),
    [("vit", None), ("resnet", None), ("clip", "hidden_states[1]"), ("detr", None)],
)
def test_a_network_gives_what_it_gives_without_them(
    name: str, layer: str | None, settings: str
) -> None:
    torch.manual_seed(0)
    member = MEMBERS[name]
    model, processor = member.make().eval(), processor_of(name, member.side)
    images = torch.rand(3, 3, member.side, member.side)
    plain = load_encoder(model, layer, processor=processor)
    expected, layers = plain(images), plain.layers
    for config in configurations(model):
        vars(config).update(SET[settings])
    before = [deepcopy(vars(config)) for config in configurations(model)]
    encoder = load_encoder(model, layer, processor=processor)
    torch.testing.assert_close(encoder(images), expected)
    assert encoder.layers == layers
    assert [vars(config) for config in configurations(model)] == before


@pytest.mark.verify
@pytest.mark.parametrize(
    "settings",
    [{"return_dict": False}, {"output_attentions": True}, {"torchscript": True}],
    ids=str,
)
def test_a_checkpoint_scores_as_without_them(
    settings: dict[str, Any], tiny_models: TinyModels, tmp_path: Path
) -> None:
    for file in Path(tiny_models.vit).iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    about = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(about | settings))
    data = noise_images(6, 32)
    found, expected = (
        compare(folder, tiny_models.resnet, data, **QUICK)
        for folder in (str(tmp_path), tiny_models.vit)
    )
    for a, b in zip(found.scores, expected.scores, strict=True):
        assert a.stir == pytest.approx(b.stir, abs=1e-4)
        assert a.similarity == pytest.approx(b.similarity, abs=1e-5)


class Unpacks(tf.PreTrainedModel):
    """A network whose code counts on the tuple that its configuration asks for."""

    config_class, main_input_name = tf.ViTConfig, "pixel_values"

    def __init__(self, config: Any) -> None:
        super().__init__(config)
        self.vit = tf.ViTModel(config)
        self.head = torch.nn.Linear(16, 7)

    def forward(self, pixel_values: torch.Tensor) -> Any:
        _, pooled = self.vit(pixel_values)
        return {"logits": self.head(pooled)}


def test_a_class_of_the_users_own_reads_its_configuration_as_it_is() -> None:
    model: Any = Unpacks(tf.ViTConfig(**SEES, return_dict=False))
    encoder = load_encoder(model, processor=tf.ViTImageProcessor(size={"height": 32, "width": 32}))
    with torch.no_grad():
        expected = model.eval().vit(pixels_of(encoder).map(IMAGES))[1]
    torch.testing.assert_close(encoder(IMAGES), expected)


def test_settings_that_are_as_a_pass_needs_them_are_left_alone() -> None:
    model: Any = tf.ViTModel(tf.ViTConfig(**SEES))
    before = dict(vars(model.config))
    settings = Settings(model)
    settings.set()
    assert vars(model.config) == before
    settings.restore()
    model.config.return_dict = None
    settings = Settings(model)
    settings.set()
    assert model.config.return_dict is True
    settings.restore()
    assert model.config.return_dict is None


def test_a_configuration_of_two_networks_is_given_back_by_the_last() -> None:
    config = tf.ViTConfig(**SEES, return_dict=False)
    one, two = (tf.ViTModel(config, add_pooling_layer=False).eval() for _ in range(2))
    processor = tf.ViTImageProcessor(size={"height": 32, "width": 32})
    first, second = (
        load_encoder(model, "hidden_states[0]", processor=processor) for model in (one, two)
    )
    expected, _ = second(IMAGES), first(IMAGES)
    with second.session() as later:
        with first.session():
            pass
        torch.testing.assert_close(later(IMAGES), expected)
        assert config.return_dict is True
    assert config.return_dict is False


def test_configurations_inside_of_each_other_end_and_are_found_in_lists() -> None:
    model: Any = tf.ViTModel(tf.ViTConfig(**SEES))
    parts = [tf.ViTConfig(**SEES, return_dict=False) for _ in range(3)]
    model.config.inner, model.config.listed = parts[0], [parts[1], {"named": parts[2]}]
    parts[0].parent = model.config
    model.config.listed.append(model.config)
    settings = Settings(model)
    settings.set()
    assert [part.return_dict for part in parts] == [True] * 3
    settings.restore()
    assert [part.return_dict for part in parts] == [False] * 3
