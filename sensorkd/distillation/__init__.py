"""LSSKD: transforms, earlier selves, loss terms and the methods that combine them. Knows no files."""
