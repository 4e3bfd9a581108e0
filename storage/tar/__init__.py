"""Tar archives, read and written; their compression; an archive of what a layer changed."""
