"""An emulator of the Claude API's Message Batches endpoints, with a clock that can be set and faults on demand.

``python -m local.claude --port N`` serves it; :mod:`local.claude.client` starts it from a test. It answers what the API
documents and says so in a comment where the API documents nothing. Answers are computed from the prompt by simple rules:
the same prompt always gets the same answer, and nothing here pretends to be a language model.
"""
