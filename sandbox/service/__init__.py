"""Services: containers that are kept as they are wanted, so many of a kind, one version after another.

What is wanted and what there is are rows; `planning` decides, of rows alone, what is to be done next; the reconciler
does it, and lives only while there is something to decide.
"""
