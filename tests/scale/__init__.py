"""A stack at the highest tier with millions of rows, in virtual time: `make scale` writes `docs/scale.md`."""
