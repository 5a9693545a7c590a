"""Torch modules: the student that ships and the auxiliaries that do not. Knows no files."""
