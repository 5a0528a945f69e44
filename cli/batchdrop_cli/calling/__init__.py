"""Calls of Claude's API from this machine, with the key of the person at the terminal."""
