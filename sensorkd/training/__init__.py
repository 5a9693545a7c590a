"""One flat loop over any dataset that yields the batch dict. Knows no files but its own checkpoints."""
