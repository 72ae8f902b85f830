"""Environments: one module each, named as in an experiment file; `TabularEnvironment` says what a user's own must offer."""

from netac.envs._base import JointFeatures, TabularEnvironment, check

__all__ = ["JointFeatures", "TabularEnvironment", "check"]
