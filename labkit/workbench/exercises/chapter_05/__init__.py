"""Exercises of chapter 5: authentication and authorization."""
