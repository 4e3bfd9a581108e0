"""The texts that options of `run` and `create` take, one module for each kind of value."""
