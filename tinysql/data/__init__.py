"""Text-to-SQL rows with known ground truth: words, phrasing, generation, prompts."""
