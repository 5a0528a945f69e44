"""What operators do with a stack as a whole."""
