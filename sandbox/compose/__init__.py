"""A project of Compose files, brought up and taken down again.

    labels of containers, networks, volumes -> Observed                 observe
    Project, Observed, options -> steps, each with its reason           plan (nothing is asked of the machine)
    steps -> operations in workers, as many at once as their order      execute

Nothing is kept of a project besides what Docker's Compose keeps: names and labels of what it is made of. So whoever is
killed half way is finished by the next one who looks.
"""
