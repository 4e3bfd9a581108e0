"""What is asked of a container, and what an image adds to it."""
