"""The version of this program, in a module below all others."""

__version__ = "0.1.0"
