"""Volumes: their records, and their life with containers."""
