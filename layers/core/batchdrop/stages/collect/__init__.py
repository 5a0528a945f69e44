"""The results of one ended batch become pieces of the output."""
