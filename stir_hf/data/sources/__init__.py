"""Rows of a dataset: from a folder, the Hub, a stream or memory."""
