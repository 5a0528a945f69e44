"""The rows of a job that have no answer, asked again: as a batch by the stack, or in real time from here."""
