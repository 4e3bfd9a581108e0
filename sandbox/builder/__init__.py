"""Builds: what a Dockerfile says, carried out."""
