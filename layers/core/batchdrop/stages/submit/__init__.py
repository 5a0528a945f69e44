"""One batch, one POST."""
