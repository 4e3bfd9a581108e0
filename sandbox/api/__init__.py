"""Docker's Engine API on a unix socket, for programs that speak it: no daemon, a server while somebody wants one.

    client ── HTTP ── server (trio, h11) ── workers of `warm`: one operation each

`connection` is HTTP on one connection, `routing` finds who answers, `handlers` call operations, `documents` are what
goes between. The process that holds the loop forks nothing, and waits for no database: what it reads itself is in
`glances`.
"""
