"""What runs on the device: NumPy and onnxruntime, nothing else."""

from sensorkd.edge.bundle import BundleDescription, EdgeBundle
from sensorkd.edge.predictor import EdgePredictor, Predictions

__all__ = ["BundleDescription", "EdgeBundle", "EdgePredictor", "Predictions"]
