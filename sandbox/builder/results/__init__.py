"""What becomes of a build's result."""
