"""`sandbox help networking`."""

TEXT = """\
Containers are on the network `bridge`, as with Docker. They reach each other, by name too, and what this machine
reaches, but for its loopback. From elsewhere nothing reaches a container but through its published ports.

Publishing:
    sandbox run -d -p 8080:80 --name web nginx          on every address of this machine
    sandbox run -d -p 127.0.0.1:8080:80 nginx           for programs of this machine alone
    sandbox run -d -p 80 nginx                          on a free port, which `sandbox port` tells
    sandbox run -d -P nginx                             all that the image exposes, on free ports
    sandbox run -d -p '[::1]:8080:80' nginx             on an IPv6 address
    sandbox run -d -p 80:80,proxy-protocol nginx        connections begin with a header that tells the client; or ...=v2
    sandbox port web 80/tcp                             where it is published

On a bridge network a port of every address is one of IPv4 and one of IPv6, and the container sees who comes by his own
address and port; this machine itself is seen as the network's gateway, as is who asks for the PROXY protocol's header.
With --network slirp4netns ports are of IPv4 alone, and there is no such header.
Ports below 1024 need net.ipv4.ip_unprivileged_port_start lowered by an administrator; the error names another.

Containers that find each other:
    sandbox network create front                        a network; its containers reach each other by their names
    sandbox run -d --network front --name db redis      and no other network reaches them
    sandbox run --network front app                     redis://db:6379 inside
    sandbox run --network front --network back app      on both; sandbox network connect does so of one that runs
    sandbox network create --internal inner             without a way out
    sandbox network inspect front                       who is on it, and at which addresses

Other networks:
    sandbox run --network slirp4netns IMAGE             one of its own: no other container reaches it, or is reached
    sandbox run --network pasta IMAGE                   the same by pasta, where passt is installed
    sandbox run --network none IMAGE                    no network but a loopback
    sandbox run --network host IMAGE                    the network of this machine
    sandbox run --network container:db IMAGE            that of another container: both are localhost to each other

Names:
    sandbox run --add-host db:10.1.2.3 IMAGE            a line of /etc/hosts
    sandbox run --host-port 5432 IMAGE                  127.0.0.1:5432 of this machine, at host.docker.internal:5432
    sandbox run --dns 9.9.9.9 IMAGE                     another resolver than this machine's

A container that reaches nothing: sandbox doctor
"""
