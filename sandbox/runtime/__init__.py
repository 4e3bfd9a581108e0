"""What the kernel is asked for: id maps, namespaces, mounts, capabilities, seccomp, cgroups, terminals."""
