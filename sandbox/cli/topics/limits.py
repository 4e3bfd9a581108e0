"""`sandbox help limits`."""

TEXT = """\
Limits are Docker's options of run and create:
    sandbox run -m 512m IMAGE           memory; what is above is killed, exit status 137
    sandbox run --cpus 1.5 IMAGE        processors
    sandbox run --cpuset-cpus 0-1 IMAGE which processors
    sandbox run --pids-limit 100 IMAGE  processes and threads
    sandbox run --ulimit nofile=4096 IMAGE
    sandbox run --shm-size 1g IMAGE     room in /dev/shm

Memory and processors need cgroup v2, and a part of it that is handed to you. systemd does so for who is logged in;
elsewhere an administrator does. Where there is none, asking for such a limit is an error, not a promise that nobody
keeps; --best-effort makes it a warning. --pids-limit and --ulimit need nothing.
    sandbox doctor cgroup               what is there, and what would mend it

A hard --ulimit goes no higher than that of the shell you type in: there is no daemon to have another one.

What is used now:
    sandbox stats
    sandbox top CONTAINER
"""
