"""Exercises of chapter 7: performance."""
