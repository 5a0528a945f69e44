"""How well estimates do: `python -m tests.estimates` measures it."""
