"""The store as a whole: whether it is whole, what it takes, and what may go."""
