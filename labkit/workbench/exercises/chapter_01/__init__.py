"""Exercises of chapter 1: architecture."""
