"""This machine and this program, as `info` and `version` tell of them."""
