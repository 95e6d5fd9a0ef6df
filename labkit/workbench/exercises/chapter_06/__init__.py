"""Exercises of chapter 6: architecture."""
