"""What is asked of a new container, and how it becomes the configuration that is kept."""
