"""Directory trees by descriptors: walked, copied, compared, measured, removed."""
