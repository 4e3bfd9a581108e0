"""Manifests and indexes as a person sees them: those of a registry, and indexes that are put together here."""
