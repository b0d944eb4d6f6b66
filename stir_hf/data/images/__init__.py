"""Images in the cells of a dataset, and on a reference's canvas."""
