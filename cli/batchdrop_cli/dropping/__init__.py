"""A file or a folder of documents, dropped from a terminal, and its job watched to the answers."""
