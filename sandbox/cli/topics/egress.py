"""`sandbox help egress`."""

TEXT = """\
On bridge networks a container can be held to a list of what it may reach outside:

    sandbox run --egress deny IMAGE                                 nothing
    sandbox run --egress allow=example.org,*.example.net IMAGE      these names, at port 443
    sandbox run --egress allow=example.org:80,10.1.0.0/16:5432,'*.example.net:*' IMAGE
    sandbox network create --egress allow=example.org:443 builds    for each container on the network

A rule is a name, `*.` and the end of names, an address or a subnet, with a port: `:443` where none is said, `:*` for
all. Several --egress add up. On a network with rules a container reaches what its own and those of all its networks
allow, so none can widen its network's. Containers of one network reach each other by whatever rules, and answers to who
came to a published port are let out. An IPv6 address with a port is in brackets: [2001:db8::1]:443.

How it holds:
- The container's name server refuses all other names. When it answers for one that is allowed, the addresses of the
  answer are let through first, for as long as the answer is good and a minute or more.
- An address that was not learned so is refused ("No route to host", which the kernel tells a TCP connection at its
  second attempt, after a second), whatever a program uses to find it: an address in its own text, a name server
  outside, DNS over HTTPS.
- Packets are told by the wire they come by, not by their source, which a container may write as it likes.
- Rules go by address in the end: two names at one address share what each allows, so name the port. What is allowed at
  all ports may be a name server too. A connection that is open goes on after its address has run out.

What was refused:
    sandbox logs --network -t web                                   of one container
    sandbox events -f event=egress_refused                          of all, as it happens
Packets that are refused in the second in which the first container of all starts are not told.
"""
