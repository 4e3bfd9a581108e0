"""User-mode networking without root: slirp4netns, published ports, network namespaces."""
