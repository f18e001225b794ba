"""Whether rows are what they should be: run on engines, read back, compared across splits."""
