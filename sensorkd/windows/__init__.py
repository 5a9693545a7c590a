"""Streams to batches: windows at native rates, their labels and splits."""
