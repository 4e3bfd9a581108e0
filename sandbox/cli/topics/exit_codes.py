"""`sandbox help exit-codes`."""

TEXT = """\
run, start -a, exec and attach end with the status of the container's own program. Besides:

    0       done; of attach: detached by ctrl-p ctrl-q
    1       an error: no such container, an unknown command, a wrong count of arguments, a failed build
    64      a template of inspect, info, version or events that cannot be read
    125     run: no container was started; any command: an option that is not there, or a value it does not take
    126     the program in the container cannot be executed, or is a directory; exec: its user is not there
    127     the program in the container was not found
    128+n   ended by signal n: 130 by ctrl-C, 137 by KILL (also for want of memory), 143 by TERM

    sandbox wait CONTAINER                                    prints that of a container that ends
    sandbox inspect -f '{{.State.ExitCode}}' CONTAINER        that of one that has ended
    sandbox inspect -f '{{.State.OOMKilled}}' CONTAINER       whether memory ran out

Commands that take several names try all of them, print an error for each that failed, and end with 1 if any did.
"""
