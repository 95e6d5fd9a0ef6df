"""Demonstration exercises: they exist for the tests only."""
