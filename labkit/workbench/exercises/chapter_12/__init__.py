"""Exercises of chapter 12: production."""
