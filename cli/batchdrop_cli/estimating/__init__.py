"""`batchdrop estimate`: what a file will cost, before anything is sent."""
