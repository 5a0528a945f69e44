"""A file of rows or requests on this machine, opened with its recipe as a job opens what was dropped."""
