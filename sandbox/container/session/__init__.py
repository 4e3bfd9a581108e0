"""A command's streams joined to a container's: attach and exec."""
