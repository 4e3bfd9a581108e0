"""The wire between our own processes: frames, channels and local sockets."""
