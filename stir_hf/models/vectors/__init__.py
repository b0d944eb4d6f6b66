"""Networks over vectors of features."""
