"""Dockerfiles: their language, and in time the building of what they say."""
