"""Short pages that `sandbox help TOPIC` prints: what no single command's help has the room for."""
