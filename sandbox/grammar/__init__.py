"""Docker's texts as values: ports, mounts, sizes, durations, filters. Text in, values or an error out."""
