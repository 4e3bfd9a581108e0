"""The operations of a container's life: create, start, stop, remove; and records mended."""
