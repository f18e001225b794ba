"""Running SQL safely, filling databases that tell queries apart, and judging answers."""
