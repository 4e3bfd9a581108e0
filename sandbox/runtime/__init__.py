"""What the kernel is asked for: id maps, namespaces, mounts, capabilities, seccomp, cgroups, terminals; and to
wait for many things at once (`reactor`).
"""
