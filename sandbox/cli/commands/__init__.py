"""One module for each noun: its options as a table, and handlers that call the core and print."""
