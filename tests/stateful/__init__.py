"""Operators and customers at work in any order, held against a small model that says what must come of it."""
