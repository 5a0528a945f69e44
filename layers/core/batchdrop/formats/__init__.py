"""Each file and body that Batchdrop reads or writes: writer and reader side by side."""
