"""Was anything of a job paid twice, lost, invented or miscounted?"""
