"""Rerankers: models that read a question and a text together and score the pair."""
