"""What hostile images, registries and processes try, and what a bad day does, through the real command."""
