"""The parts of benchmarks/windows.py, one a file; each takes a folder to write to and whether to be quick."""
