"""Layers: unpacked, stored, checked."""
