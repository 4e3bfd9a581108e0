"""Bind mounts with mapped owners."""
