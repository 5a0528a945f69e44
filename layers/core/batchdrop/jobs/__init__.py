"""What more than one stage does to a job."""
