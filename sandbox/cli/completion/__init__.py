"""What a shell offers for the word that is being typed: commands, options, their values, and live names."""
