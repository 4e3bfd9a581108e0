"""What the processes of containers are and take, seen from the host: top, stats; nothing is run in a container."""
