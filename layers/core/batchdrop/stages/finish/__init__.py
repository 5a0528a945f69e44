"""The pieces become the output files, the manifest last."""
