"""What is known of a container: records, their states, and the database."""
