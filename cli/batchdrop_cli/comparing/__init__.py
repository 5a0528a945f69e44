"""`batchdrop compare`: the same rows one by one and as a batch, side by side."""
