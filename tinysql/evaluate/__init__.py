"""Decoding a model's answers and scoring them with honest intervals."""
