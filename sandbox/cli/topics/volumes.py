"""`sandbox help volumes`."""

TEXT = """\
Data that stays when the container goes:
    sandbox volume create data
    sandbox run -v data:/var/lib/data IMAGE             made where it is not there yet
    sandbox run --mount type=volume,src=data,dst=/var/lib/data IMAGE
    sandbox volume ls -f dangling=true                  which nobody uses
    sandbox volume rm data

A new volume begins with what the image has at that place, owners included. An image's VOLUME, or -v with a place alone,
makes one without a name, which `sandbox rm -v` and `run --rm` remove with the container.

Directories of the host:
    sandbox run -v "$PWD":/src -w /src IMAGE make       yours to the container's root, and what it makes is yours
    sandbox run -v "$PWD":/src:ro IMAGE                 not to be changed
    sandbox run -v "$PWD":/src:idmap -u node IMAGE      yours to that user (needs pyfuse3)

Root in a container is you. Each other user in it is one of your subordinate ids: what -u 1000 makes in a directory of
the host is nobody's you know there. So leave -u out, or map the mount with idmap. Volumes need none of this.

In memory, gone with the container:
    sandbox run --tmpfs /tmp:size=64m IMAGE

Of other containers:
    sandbox run --volumes-from db IMAGE
"""
