"""`python -m sandbox` is the `sandbox` command."""

from sandbox.cli.main import entry

if __name__ == "__main__":
    entry()
