"""Pushes to the Hub, and scores that are read from there; each part is imported when it is first
used, since a leaderboard needs no torch.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
