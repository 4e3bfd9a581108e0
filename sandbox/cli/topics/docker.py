"""`sandbox help coming-from-docker`."""

TEXT = """\
Commands, options, output and exit codes are Docker's: alias docker=sandbox. What is different:

No daemon. -H unix://…, -c default, -l LEVEL and --config are taken, for scripts bring them along; what would mean
another machine is refused. Nothing runs while no container does. For containers that come back after a reboot:
    sandbox run -d --restart always --name web nginx
    sandbox system autostart enable

No root. Root in a container is you, and each other user one of your subordinate ids. With Docker one writes
-u $(id -u) so that files of a bind mount are one's own; here leave it out:
    sandbox run --rm -v "$PWD":/src -w /src IMAGE make
More in: sandbox help volumes

Your own images. Those of `docker images` are elsewhere:
    docker save IMAGE | sandbox load

Your own network. Containers do not see one another at their addresses, and ports below 1024 are the administrator's:
    sandbox help networking

Limits of memory and processors need a cgroup that is handed to you, and are refused otherwise:
    sandbox help limits

What this machine lacks, and the command that mends each:
    sandbox doctor
"""
