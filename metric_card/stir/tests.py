"""Cases of the module: each is what `compute` is given, and what it returns, to 0.04: another
processor adds up in another order.
"""

from stir_hf.demo import IMAGES, model_path

_OPTIONS = {"data": str(IMAGES), "num_samples": 40, "steps": 100}

test_cases = [
    {
        "model": model_path("standard-0"),
        "reference": model_path("robust-0"),
        **_OPTIONS,
        "result": {
            "stir": 0.801,
            "similarity": 0.688,
            "stir_reverse": 0.454,
            "ceiling": 1.0,
            "num_samples": 40,
        },
    },
    {
        "model": model_path("robust-1"),
        "reference": model_path("robust-0"),
        **_OPTIONS,
        "result": {
            "stir": 0.979,
            "similarity": 0.987,
            "stir_reverse": 0.982,
            "ceiling": 1.0,
            "num_samples": 40,
        },
    },
]
