"""Tests of what asks the kernel for a container."""
