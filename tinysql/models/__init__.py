"""Models and tokenizers: made from scratch, loaded from a directory or from the Hub."""
