"""Was anything of a job paid for twice, lost, invented or miscounted?"""
