"""Environments: one module each, named as in an experiment file.

`TabularEnvironment` (finitely many states, nothing remembered) or `BatchedEnvironment` (games with a state, for networks)
says what a user's own must offer; any PettingZoo environment will do as well.
"""

from netac.envs._base import JointFeatures, TabularEnvironment, check
from netac.envs._batched import ActionSpace, BatchedEnvironment, Step, check_batched

__all__ = ["ActionSpace", "BatchedEnvironment", "JointFeatures", "Step", "TabularEnvironment", "check", "check_batched"]
