"""An overlay file system in Python on pyfuse3 and trio; docs/fuse.md says how it works."""
