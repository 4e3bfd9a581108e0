"""How a registry is spoken to: endpoints, credentials, sessions, reading and writing."""
