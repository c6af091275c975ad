"""One claim per file, found by listing this folder."""
