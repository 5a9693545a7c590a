"""Judges trained students: metrics, every subset of sensors, pictures."""
