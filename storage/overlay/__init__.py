"""Drivers that make a writable root file system of read-only layers."""
