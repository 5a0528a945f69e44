"""The fault matrix: every point at which a function can die or be refused, times every fault; each run is audited."""
