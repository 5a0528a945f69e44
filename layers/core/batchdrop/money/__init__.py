"""What rows cost: prices, estimates before, bills after. Pure: no clock, no bucket, no API."""
