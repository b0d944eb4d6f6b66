"""A frozen network at work."""
