"""Networks over feature vectors."""
