"""Four small embedded networks and 200 images of Fashion-MNIST (MIT licence), for runs without the
Hub.

Two of the networks were trained in the ordinary way and two adversarially, by
`examples/train_demo_models.py`.
"""

from pathlib import Path

HERE = Path(__file__).parent
MODELS = ("standard-0", "standard-1", "robust-0", "robust-1")
DRAWN = ("standard-0", "robust-0")
"""The networks whose inversions the picture of `stir-hf demo` shows."""
IMAGES = HERE / "images"
STEPS = 200
"""Passes per image in `stir-hf demo`: enough for a mean error below the original's, in under a
minute on two cores.
"""


def model_path(name: str) -> str:
    """The folder of an embedded network."""
    return str(HERE / "models" / name)
