"""For tests and demonstrations: a simulated plant, and the conformance suite of adapters."""
