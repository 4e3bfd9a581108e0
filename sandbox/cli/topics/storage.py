"""`sandbox help storage`."""

TEXT = """\
Everything lies below ~/.local/share/sandbox ($XDG_DATA_HOME), and is yours alone:
    blobs, layers       what images are made of; what several share is there once
    containers          what each container changed, and its log
    volumes             data that outlives containers

What it takes, and how room is made:
    sandbox system df                   by kind, and how much of it can be had back
    sandbox system df -v                image by image, container by container
    sandbox container prune             containers that do not run
    sandbox image prune -a              images that no container uses
    sandbox volume prune -a             volumes that no container uses, with their data
    sandbox builder prune               the build cache
    sandbox system prune -a --volumes   all of these

Files that a container's users made belong to your subordinate ids outside: rm(1) may not remove them, the commands do,
and `sandbox unshare COMMAND` runs a command of yours that may.

A container's root is mounted by the kernel's overlay where it lets you, else by a FUSE server of ours, else it is a
copy. `sandbox info` says which. One may be asked for:
    sandbox run --storage-driver fuse IMAGE
    sandbox run --storage-opt size=2G IMAGE             no more than 2 GB written to it (needs pyfuse3)

After a crash or a full disk:
    sandbox system check                holds everything stored against everything recorded
    sandbox system check --repair       and mends what can be mended
"""
