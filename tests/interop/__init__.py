"""What other programs make of our answers, and of the commands in our documents: `make interop`."""
