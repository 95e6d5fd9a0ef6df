"""Exercises of chapter 4: connections."""
