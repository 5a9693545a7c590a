"""Importers that come with sensorkd, found by entry point like anyone else's."""
