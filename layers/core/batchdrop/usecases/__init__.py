"""One module per verb: what each function does, written against the ports."""
