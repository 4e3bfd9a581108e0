"""Tests of sandbox.secret."""
