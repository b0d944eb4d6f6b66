"""Image processors, and the families of networks that take images."""
