"""Commands dropped under `control/`."""
