"""Content store, layers, unpacking and overlay file systems; knows digests and trees, never containers."""
