"""Deliberate breakages of the promises, one at a time: for each there is a test that notices."""
