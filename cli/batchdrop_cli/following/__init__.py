"""A job of the stack, seen and told what to do through its bucket."""
