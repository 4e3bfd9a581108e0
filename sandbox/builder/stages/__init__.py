"""Stages: which are built, in which process, and the image that each becomes."""
