"""Docker semantics with no root and no system daemon."""

__version__ = "0.1.0"
