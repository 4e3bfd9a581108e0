"""sandbox measured beside podman: benchmarks/run."""
