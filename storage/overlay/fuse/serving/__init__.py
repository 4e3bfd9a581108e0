"""The process that serves a FUSE mount, and its loop."""
