"""What may be wrong with archives: checks by importance, each with its reason and its cure."""

from sensorkd.checks.catalogue import CHECKS, select_checks
from sensorkd.checks.finding import Check, Finding, Importance, Place
from sensorkd.checks.run import Report, validate

__all__ = ["CHECKS", "Check", "Finding", "Importance", "Place", "Report", "select_checks", "validate"]
