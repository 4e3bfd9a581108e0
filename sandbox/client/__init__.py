"""The Python API: what the command does, for programs. `sandbox.Client` is the way in; docs/python-api.md describes it.

A client holds no lock and no database: each call is done by a worker of a prepared process (`sandbox.warm`), so it may
be made under threads, beside open databases, and from several threads at once.
"""
