"""One module for each noun: its options as a table, and handlers that call operations and print.

A handler gets its Invocation from `main` alone, and raises SandboxError, which `main` prints: UsageError for what
cannot be meant, the others for what cannot be done.
"""
