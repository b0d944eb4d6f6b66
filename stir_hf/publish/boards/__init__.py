"""Leaderboards of the models that were judged on a repo's inversions."""
