"""What goes over the wire, as values: JSON to requests, and values to JSON."""
