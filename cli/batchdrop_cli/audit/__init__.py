"""Was anything of a job paid twice, lost or miscounted?"""
