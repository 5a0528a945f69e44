"""Tests of the Claude emulator, through its own front door."""
