"""What is shown of a container: inspect, logs, sizes, filters."""
