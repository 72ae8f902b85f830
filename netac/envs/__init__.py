"""Environments: one module each, named as in an experiment file.

`TabularEnvironment` (finitely many states, nothing remembered) or `BatchedEnvironment` (games with a state, for
networks) says what a user's own must offer; any PettingZoo environment will do as well.
"""

from netac.envs._batched import BatchedEnvironment, Step, check_batched, check_number, has_costs
from netac.envs._features import ActionHistogram, ActionsOneHot, JointTable, counts
from netac.envs._tabular import JointFeatures, TabularEnvironment, check
from netac.utils.spaces import ActionSpace

__all__ = ["ActionHistogram", "ActionSpace", "ActionsOneHot", "BatchedEnvironment", "JointFeatures", "JointTable",
           "Step", "TabularEnvironment", "check", "check_batched", "check_number", "counts",
           "has_costs"]
