"""What a build says while it works, and who shows it."""
