"""Running a frozen network."""
