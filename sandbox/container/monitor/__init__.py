"""The process that stays with a running container: its parent, its reaper, its log."""
