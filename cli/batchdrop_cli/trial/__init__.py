"""`batchdrop try`: a few rows of a file in real time, by the code that plans and collects jobs."""
