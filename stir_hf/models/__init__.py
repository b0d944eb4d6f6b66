"""Checkpoints and modules as encoders: inputs on a canvas to representations (b, d)."""
