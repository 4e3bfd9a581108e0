"""The options of services as values: of one that is made, and of one that is changed."""
