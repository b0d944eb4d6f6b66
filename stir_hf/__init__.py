"""STIR between any two Hugging Face checkpoints: does this model ignore what that model ignores?

The measure is STIR (Nanda et al., "Measuring Representational Robustness of Neural Networks
Through Shared Invariances", ICML 2022, arXiv 2206.11939). The public names are listed in
`__init__.pyi` and imported when they are first used, so that `import stir_hf` does not load torch
or transformers.
"""

import lazy_loader

from stir_hf._version import __version__ as __version__

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
