"""The layer that is read: found in one traced forward pass."""
