"""Questions rewritten by a language model, each one checked."""
