"""How a user would run each tool, as its own documents say. `python -m bench.others.drivers.NAME INPUT FOLDER` runs in that
tool's environment; see `bench.others.driver`.
"""
