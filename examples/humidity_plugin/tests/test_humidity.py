"""The conformance suite, which is all the tests that a plain adapter needs."""

import numpy as np

from sensorkd.testing.adapter_checks import AdapterChecks, AdapterExample


class TestHumidity(AdapterChecks):
    modality = "humidity"

    def example(self) -> AdapterExample:
        walk = np.random.default_rng(0).normal(0, 0.3, 600).cumsum()
        samples = (45 + walk - walk.mean())[:, None].astype("float32")
        return AdapterExample(samples, rate=1.0, unit="%", span=60.0)
