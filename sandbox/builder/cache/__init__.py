"""The build cache: looked up, shared, measured, removed."""
