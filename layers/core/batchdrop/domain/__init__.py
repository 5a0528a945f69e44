"""The rules of Batchdrop: records, transitions and decisions, all pure. No I/O; neither boto3 nor anthropic is imported."""
