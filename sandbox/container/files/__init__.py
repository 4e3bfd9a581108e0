"""Containers' files for those outside: copied in and out, looked at, compared with the image.

`tree` reaches a container's tree, `archives` works in there, in a process of its own; `copying` is the caller's side of
a copy, as the caller. Between them goes a tar archive, by a pipe. Nothing of the container's tree is ever executed or
loaded, and no path in it is resolved but by descriptors.
"""
