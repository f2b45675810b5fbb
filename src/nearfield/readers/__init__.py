"""Readers of files that need a library: PDF, Word, and the main text of web pages."""
