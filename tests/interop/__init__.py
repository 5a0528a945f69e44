"""What other programs make of our answers: `make interop`."""
