"""The Spaces of the package, and the requirement by which they install it."""
