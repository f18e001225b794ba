"""Training: tokenized rows, length-bucketed batches, loss, and the DeepSpeed loop."""
