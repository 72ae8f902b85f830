"""JaxMARL's IPPO on cooperative navigation, run by the Python that has JaxMARL: nothing of netac is imported here.

    python jaxmarl_ippo.py PATH/TO/ippo_ff_mpe.py '{"NUM_ENVS": 20, ...}' CORE

The script's training loop is compiled once, on one core; then every line of standard input runs it anew, and the
seconds that took are printed.
"""

import importlib.util
import json
import os
import sys
import time
import types

PUBLISHED = {"LR": 2.5e-4, "GAMMA": 0.99, "GAE_LAMBDA": 0.95, "CLIP_EPS": 0.2, "ENT_COEF": 0.01, "VF_COEF": 0.5,
             "MAX_GRAD_NORM": 0.5, "ACTIVATION": "tanh", "ENV_NAME": "MPE_simple_spread_v3", "ENV_KWARGS": {},
             "ANNEAL_LR": True}


def stand_in(name: str, **attributes: object) -> None:
    """A module that only has what the script asks of it, where the real one is missing: none of it is timed work."""
    if importlib.util.find_spec(name) is None:
        sys.modules[name] = types.ModuleType(name)
        vars(sys.modules[name]).update(attributes)


def main(script: str, settings: str, core: str) -> None:
    """Compile, say so, and run for every line that is read."""
    os.sched_setaffinity(0, {int(core)})
    stand_in("wandb", log=lambda metrics: None)
    stand_in("hydra", main=lambda **_: lambda function: function)
    stand_in("omegaconf", OmegaConf=None)
    import jax
    spec = importlib.util.spec_from_file_location("ippo_ff_mpe", script)
    public = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(public)
    train = jax.jit(public.make_train(PUBLISHED | json.loads(settings))).lower(jax.random.PRNGKey(0)).compile()
    print("compiled", flush=True)
    for seed, _ in enumerate(sys.stdin):
        key = jax.random.PRNGKey(seed)
        started = time.perf_counter()
        jax.block_until_ready(train(key))
        print(time.perf_counter() - started, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
