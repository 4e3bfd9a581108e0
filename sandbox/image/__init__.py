"""Images: references, documents, registries, archives."""
