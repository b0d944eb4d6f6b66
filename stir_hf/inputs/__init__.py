"""What a network consumes, as tensors."""
