"""The ports made of AWS and Anthropic. AWS and Anthropic words stop here."""
