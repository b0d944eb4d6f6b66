"""Pushing to the Hub, and reading scores from there; each part is imported on first use, since a
leaderboard needs no torch.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
