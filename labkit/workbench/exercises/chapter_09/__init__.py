"""Exercises of chapter 9: messaging."""
