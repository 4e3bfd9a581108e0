"""BuildKit's protocol, with our own builder behind it: gRPC over HTTP/2 on connections that clients have upgraded.

A client asks on one connection (`control`, `bridge`), and serves on another, its session (`session`): there we ask for
files, secrets, credentials, agents, and send results. The work is done by a worker (`worker_side`), which asks the
session through this process (`asking`).
"""
