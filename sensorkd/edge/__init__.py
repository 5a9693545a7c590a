"""What runs on the device: NumPy and onnxruntime, nothing else."""

from sensorkd.edge.bundle import BundleDescription, EdgeBundle
from sensorkd.edge.predictor import EdgePredictor, Predictions
from sensorkd.edge.stream import StreamPredictor, Verdict

__all__ = ["BundleDescription", "EdgeBundle", "EdgePredictor", "Predictions", "StreamPredictor", "Verdict"]
