"""Which hosts may be asked for something, by who named them."""
