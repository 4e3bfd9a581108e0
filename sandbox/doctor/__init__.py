"""What this machine gives: each need is tried, not guessed, and comes with the command that mends it."""
