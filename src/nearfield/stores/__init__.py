"""Stores that keep an index: one module or package each."""
