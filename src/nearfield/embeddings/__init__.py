"""Embedding models, one module per provider."""
