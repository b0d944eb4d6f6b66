"""The measures: each is one file, which enters itself in `MEASURES`; all are imported here, that of
the default first.
"""

from importlib import import_module
from pkgutil import iter_modules

from stir_hf.similarity.measures import linear_cka as _linear_cka  # noqa: F401

for _module in iter_modules(__path__):
    import_module(f"{__name__}.{_module.name}")
