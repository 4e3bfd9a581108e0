"""Operations in processes of their own, for programs that have threads or an open database.

    owner (threads, trio, SQLite)      prepared process              worker
    ── call {two sockets} ───────────▶  forks ─────────────────────▶
    ── request {operation, values, environment} + descriptors ────▶  calls the operation
       ◀───────────────────────────── progress, …, result or error ─  ends
       ◀──────────────── exit status ──

The prepared process (`prepared`) has one thread, its imports done, and no database open: a worker is forked from it in
a millisecond, and may unshare, fork a monitor, open the database. It never sees a request: these go from the owner to
the worker directly, so nothing of one can be seen by another. It ends with its owner, and its workers with it.

For a program that blocks, from any of its threads:

    with Workers() as workers:
        value = workers.call(Request("NAME", (argument, …), {"keyword": argument}), progress=function)

For one that runs trio: `async with open_workers() as workers: await workers.call(…)` (`trio_workers`). The names are
those of the table in `registry`; arguments, results and progress are values as `values` has them, a descriptor among
them a `Descriptor`. What the operation raises is raised; what else may go wrong is in `failures`.
"""
