"""Every ordered pair of networks of different native sizes, on photographs.

    python benchmarks/native_sizes.py --photos DIR MODEL MODEL …

`stir_hf.matrix` of folders of networks on the first photographs, with one thread; what the canvas
of the reference changes is in the notes of each score. Beside the result stands the accuracy on its
test images of each network that examples/train_demo_models.py trained, from the `training.json` in
its folder. Writes benchmarks/results/native_sizes.json, from which docs/families.md has a table
(`python -m tests.families.table`); the kept figures are of two ImageNet networks, of vit-cifar10
and of convnext-cifar10.
"""

import argparse
import json
from pathlib import Path

import torch

import stir_hf

RESULTS = Path(__file__).parent / "results" / "native_sizes.json"


def accuracy(models: list[str]) -> dict[str, float]:
    """Test accuracies, for the networks that record them, by the name of the folder."""
    files = {Path(model).name: Path(model) / "training.json" for model in models}
    return {
        name: json.loads(path.read_text("utf-8"))["accuracy"]
        for name, path in files.items()
        if path.is_file()
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("models", nargs="+")
    parser.add_argument("--photos", required=True)
    parser.add_argument("--num-images", type=int, default=32)
    parser.add_argument("--steps", type=int, default=150)
    args = parser.parse_args()
    torch.set_num_threads(1)
    result = stir_hf.matrix(args.models, args.photos, num_samples=args.num_images, steps=args.steps)
    found = {**result.to_dict(), "accuracy": accuracy(args.models)}
    RESULTS.write_text(json.dumps(found, ensure_ascii=False) + "\n", "utf-8")


if __name__ == "__main__":
    main()
