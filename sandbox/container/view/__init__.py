"""Containers looked at: inspect, logs, sizes, filters, export."""
