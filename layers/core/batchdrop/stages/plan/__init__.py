"""An upload becomes a job and its batches."""
