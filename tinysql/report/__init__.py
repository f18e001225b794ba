"""One self-contained HTML page: what was trained, how well it does, and how it does it."""
