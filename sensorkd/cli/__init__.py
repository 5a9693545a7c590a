"""The command line: one file a verb, all of them over the same public functions as a notebook."""
