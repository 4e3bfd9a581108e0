"""The options of `run` and `create`: a table, and the reader that makes a configuration of them."""
