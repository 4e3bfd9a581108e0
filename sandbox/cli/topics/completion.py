"""`sandbox help completion`."""

TEXT = """\
    sandbox --install-completion                        for the shell you type in: bash, zsh or fish
    sandbox --show-completion bash                      prints the script, to be put somewhere else

It completes commands, options, what options take (--network, --restart, --format, --filter, signals, platforms, …), and
names: those of containers in a state that the command is for (stop: running ones, start: those that do not run),
images, volumes.

For `alias docker=sandbox` in bash:
    eval "$(sandbox --show-completion bash)"
    complete -o default -F _sandbox_completion docker

zsh and fish look behind an alias by themselves.
"""
