"""The life of a container: create, start, monitor, exec, logs, attach, stop, remove."""
