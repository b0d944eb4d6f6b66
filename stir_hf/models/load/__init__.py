"""Checkpoints, adapters and networks in memory as encoders."""
