"""What a job has left, brought here."""
