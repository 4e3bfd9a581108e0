"""The instructions that make layers, carried out."""
