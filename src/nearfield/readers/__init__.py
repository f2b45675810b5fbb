"""Readers of files that need a library: PDF, office files, books, main text of web pages."""
