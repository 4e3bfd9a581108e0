"""The language of Dockerfiles and of ignore files: text in, instructions and findings out. Builds nothing."""
