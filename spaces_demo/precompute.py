"""Write example.json, the outcome that the page shows first: the page's own comparison of two
embedded networks on 64 of the embedded images, 200 passes.

    python spaces_demo/precompute.py
"""

import json
from pathlib import Path


def main() -> None:
    """Run the comparison as the page does."""
    from stir_hf.space import LIMITS, Comparison, jobs, run

    request = Comparison("standard-0", "robust-0", images=64, steps=200)
    for message in run(jobs.compare, request, LIMITS):
        if "done" in message:
            done = {name: value for name, value in message["done"].items() if name != "archive"}
            target = Path(__file__).parent / "example.json"
            target.write_text(json.dumps(done, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
