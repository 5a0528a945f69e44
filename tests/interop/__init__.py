"""What other programs make of our tables: `make interop`."""
