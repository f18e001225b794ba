"""Mechanistic interpretability: prompt pairs, activation patching, sparse autoencoders."""
