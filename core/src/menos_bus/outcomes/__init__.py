"""What became of each call: the record of its acceptance, its state and its result."""
