"""The rules of Batchdrop. Nothing here opens a socket or a file, and nothing imports boto3 or anthropic."""
