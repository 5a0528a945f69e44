"""Batchdrop: drop a JSONL file into a bucket, get every answer from Claude back, in order, and never pay twice."""
