"""Where builds take files from: contexts, Git, URLs, ssh agents."""
