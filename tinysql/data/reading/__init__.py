"""Reads a row's records back out of its question, independently of how it was written."""
