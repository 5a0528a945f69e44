"""Everything that makes the system run on one laptop: the emulators and the glue between them."""
