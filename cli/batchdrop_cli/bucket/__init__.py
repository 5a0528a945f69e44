"""The bucket, with the AWS rights of the person at the terminal: nothing else of a stack is needed."""
