"""The process that stays with a running container: its parent, its reaper, its log.

spawn, process    its birth, and the phases up to its loop
monitor           the order of things in a container's life; run, network, signals and task are its parts. What is
                  watched besides (health checks, once there are some) is a part of its own, as network is
roles, plan       what it is told, writes and starts, as types; what crosses between those, as values
requests          what clients may ask; attach_server has the clients, reach is how they find it
backend           kernel, storage and network for it: mounts, private_network, runtime_spec, etc_files, neighbours
journal           the record as it writes it; record_writer is when, checkpoint and discard what follows
task              steps that wait, in its loop (runtime/reactor); stdio and the log_… modules move its streams
"""
