"""Exercises of chapter 11: testing."""
