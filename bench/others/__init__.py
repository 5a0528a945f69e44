"""Other tools at the same work: `python -m bench.others` measures them and fills in `docs/comparison.md`."""
