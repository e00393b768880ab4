"""Evaluation: predictions against what came after."""
