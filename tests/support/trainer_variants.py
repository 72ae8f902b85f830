"""Small experiments with every trainer and set of options, and the bytes that trainer and agents send each other."""

from __future__ import annotations

from typing import Any

from programs.arena import NUMBERS

from support.neural_variants import PROGRAMS, ROOT, arena

EPISODE, ITERATIONS = 4, 4
LASTING = {"falls": 2.0, "length": EPISODE}
PRICED = LASTING | {"priced": True}
CRITICS = {"critic_minibatches": 2}
SEPARATE, SHARED = {"parameters": "separate"}, {"parameters": "shared"}
REPLAYING = ("maddpg", "haddpg")
FACTORISING = {"vdn": 3, "qmix": 3, "qplex": 7, "qdpp": 4}     # how many numbers of a sample an agent tells and is told
REMEMBERING = {"policy": {"name": "gru", "hidden": [5], "units": 4}}
TRANSFORMER = {"policy": {"name": "transformer", "width": 4, "heads": 2}}
SEES = {"policy": {"name": "mlp", "hidden": [6], "sees": "neighbours"}}
OBSERVATIONS = {"normalise": {"observations": True}}
OWN = {name: {"factory": f"mirrors:{name}", "folder": PROGRAMS, "kwargs": {"most": most}}
       for name, most in (("squares", 2.0), ("widest", 0.3))}

_CASES: dict[str, tuple[int, dict[str, Any], str, dict[str, Any], dict[str, Any]]] = {
    "happo": (3, arena(**LASTING), "happo", {}, {}),
    "happo-five": (5, arena(late=True), "happo", {"minibatches": 2, **CRITICS, "clip_over_agents": True,
                                                     "decay": "linear", "discounted_gradient": True}, {}),
    "happo-gaussian": (3, arena(actions="box"), "happo", {"advantages": "agent", "order": "fixed"}, OBSERVATIONS),
    "happo-mixed": (3, arena(actions="mixed", extra=1), "happo", {"value_normalisation": False, "huber": 0.5}, {}),
    "happo-root": (3, arena(ROOT, late=True), "happo", {"minibatches": 4, **CRITICS}, {}),
    "hatrpo": (3, arena(**LASTING), "hatrpo", {"conjugate_gradients": 4}, {}),
    "hatrpo-five": (5, arena(actions="box", late=True), "hatrpo", {"delta": 0.1, "minibatches": 2, **CRITICS}, {}),
    "haa2c": (3, arena(**LASTING), "haa2c", {"advantages": "raw"}, {}),
    "haa2c-five": (5, arena(actions="mixed"), "haa2c", {"epochs": 2, "minibatches": 3, **CRITICS, "order": "fixed"},
                   {}),
    "haml": (3, arena(**LASTING), "haml", {"drift": "kl", "neighbourhood": "kl", "delta": 1e-3}, {}),
    "haml-own-five": (5, arena(actions="mixed", late=True), "haml",
                      {"drift": OWN["squares"], "neighbourhood": OWN["widest"], "minibatches": 2}, OBSERVATIONS),
    "haml-root-masked": (3, arena(ROOT, masks=True, late=True), "haml",
                         {"drift": "none", "neighbourhood": "kl", "delta": 1e-4, "baseline": "optimal"}, {}),
    "haml-remembering": (2, arena(late=True), "haml", {"drift": "kl", "chunk": 3, "neighbourhood": "kl",
                                                       "delta": 1e-4}, REMEMBERING),
    "haml-alone": (1, arena(), "haml", {"drift": OWN["squares"]}, {}),
    "happo-optimal": (3, arena(**LASTING), "happo", {"baseline": "optimal"}, {}),
    "hatrpo-counterfactual-five": (5, arena(actions="box"), "hatrpo", {"baseline": "counterfactual", "delta": 0.1}, {}),
    "haa2c-none": (3, arena(**LASTING), "haa2c", {"baseline": "none", "advantages": "agent"}, {}),
    "mappo-optimal": (3, arena(**LASTING), "mappo", SHARED | {"baseline": "optimal"}, {}),
    "maddpg-shared": (3, arena(**LASTING), "maddpg", SHARED, {}),
    "maddpg-shared-five": (5, arena(actions="box", late=True), "maddpg", SHARED, {}),
    "mappo": (3, arena(**LASTING), "mappo", SHARED, {}),
    "mappo-five": (5, arena(actions="box"), "mappo", SHARED | {"minibatches": 2, **CRITICS, "advantages": "agent"}, {}),
    "mappo-separate": (3, arena(**LASTING), "mappo", SEPARATE | {"minibatches": 2, **CRITICS}, {}),
    "mappo-separate-five": (5, arena(actions="different", extra=2), "mappo", SEPARATE | {"value_clip": None},
                            OBSERVATIONS),
    "ippo": (3, arena(late=True), "ippo", SHARED, {}),
    "ippo-five": (5, arena(actions="box"), "ippo", SHARED | {"minibatches": 2, **CRITICS, "team_reward": None}, {}),
    "ippo-separate": (3, arena(**LASTING), "ippo", SEPARATE | {"minibatches": 2, **CRITICS}, {}),
    "ippo-separate-own": (3, arena(**LASTING), "ippo", SEPARATE | {"team_reward": None, "advantages": "agent"}, {}),
    "ippo-separate-five": (5, arena(actions="mixed", extra=1), "ippo", SEPARATE | {"advantages": "raw"}, OBSERVATIONS),
    "jrppo": (3, arena(**LASTING), "jrppo", SHARED, {}),
    "jrppo-separate": (3, arena(**LASTING), "jrppo", SEPARATE | {"minibatches": 2, **CRITICS}, {}),
    "jrppo-five": (5, arena(late=True), "jrppo", SEPARATE | {"clip_over_agents": True, "minibatches": 3, **CRITICS},
                   {}),
    "coma": (3, arena(**LASTING), "coma", SHARED, {}),
    "coma-optimal": (3, arena(**LASTING), "coma", SEPARATE | {"baseline": "optimal", "minibatches": 2, **CRITICS}, {}),
    "coma-none": (3, arena(**LASTING), "coma", SHARED | {"baseline": "none", "advantages": "agent"}, {}),
    "coma-leaving": (5, arena(late=True), "coma", SHARED | {"minibatches": 3, "epochs": 1}, OBSERVATIONS),
    "coma-five": (5, arena(actions="mixed", extra=1), "coma", SEPARATE | {"baseline": "optimal", "baseline_pairs": 3,
                                                                          "decay": "linear"}, {}),
    "coma-root": (3, arena(ROOT, actions="box", late=True), "coma", SHARED | {"baseline_pairs": 2}, {}),
    "coma-alone": (1, arena(), "coma", {"baseline": "optimal", "advantages": "raw"}, {}),
    "happo-alone": (1, arena(), "happo", {"minibatches": 2, **CRITICS}, {}),
    "restarting-happo": (3, arena("arena:forgetful"), "happo", {}, {}),
    "maddpg": (3, arena(**LASTING), "maddpg", {}, {}),
    "maddpg-five": (5, arena(actions="box", late=True), "maddpg", {"team_reward": None, "buffer": 1000, "warmup": 20},
                    OBSERVATIONS),
    "maddpg-different": (3, arena(actions="different", extra=2), "maddpg", {"huber": 0.5, "epsilon": 0.2}, {}),
    "maddpg-root-mixed": (3, arena(ROOT, actions="mixed", extra=1, late=True), "maddpg", {"noise": 0.5}, {}),
    "maddpg-alone": (1, arena(), "maddpg", {}, {}),
    "restarting-maddpg": (2, arena("arena:forgetful"), "maddpg", {}, {}),
    "haddpg": (3, arena(**LASTING), "haddpg", {"temperature": 0.5}, {}),
    "haddpg-five": (5, arena(actions="mixed", extra=1), "haddpg", {"order": "fixed", "team_reward": "sum", "clip": 0.1},
                    {}),
    "haddpg-box": (3, arena(actions="box"), "haddpg", {"optimizer": "plain"}, OBSERVATIONS),
    "haddpg-root": (2, arena(ROOT, late=True), "haddpg", {"warmup": 30}, {}),
    "happo-seeing-neighbours": (3, arena(line=True), "happo", {}, OBSERVATIONS | SEES),
    "ippo-root-seeing-neighbours": (3, arena(ROOT, late=True, line=True), "ippo", {}, SEES),
    "maddpg-seeing-neighbours": (3, arena(line=True, actions="box"), "maddpg", {}, SEES),
    "mappo-seeing-the-state": (3, arena(late=True), "mappo", {}, {"policy": {"name": "mlp", "sees": "state"}}),
    "happo-masked": (3, arena(**LASTING, masks=True), "happo", {}, {}),
    "mappo-root-masked": (3, arena(ROOT, masks=True, late=True), "mappo", SHARED | {"discounted_gradient": True},
                          OBSERVATIONS),
    "maddpg-masked": (3, arena(actions="medley", masks=True, late=True), "maddpg", {"epsilon": 0.3}, {}),
    "vdn": (3, arena(**LASTING), "vdn", SEPARATE, {}),
    "vdn-shared": (3, arena(**LASTING), "vdn", SHARED | {"double": False}, {}),
    "vdn-remembering": (3, arena(late=True), "vdn", SHARED | {"chunk": 3}, OBSERVATIONS | REMEMBERING),
    "vdn-alone": (1, arena(), "vdn", {"target_every": 2}, {}),
    "restarting-vdn": (2, arena("arena:forgetful"), "vdn", {}, REMEMBERING),
    "qmix": (3, arena(**LASTING), "qmix", SEPARATE | {"mixing_width": 3}, {}),
    "qmix-five": (5, arena(actions="different", extra=2, masks=True), "qmix", SEPARATE | {"chunk": 2, "huber": 0.5},
                  OBSERVATIONS),
    "qmix-root-remembering": (3, arena(ROOT, late=True), "qmix", SHARED | {"buffer": 30}, REMEMBERING),
    "qplex": (3, arena(**LASTING, masks=True), "qplex", SEPARATE, {}),
    "qplex-seeing-neighbours": (3, arena(line=True, late=True), "qplex", SHARED | {"chunk": 2}, SEES),
    "qdpp": (3, arena(**LASTING), "qdpp", SHARED | {"features": 4}, {}),
    "qdpp-several": (3, arena(actions="several", masks=True, late=True), "qdpp", SEPARATE | {"features": 2},
                     REMEMBERING),
    "macpo": (3, arena(**PRICED), "macpo", {"cost_limit": 0.9, "conjugate_gradients": 4}, {}),
    "macpo-five": (5, arena(actions="box", late=True, priced=True), "macpo", {
        "cost_limit": [0.2, 0.8, 1.4, 0.5, 0.9], "delta": 0.1, "minibatches": 2, **CRITICS,
        "discounted_gradient": True}, OBSERVATIONS),
    "macpo-root-leaving": (3, arena(ROOT, priced=True), "macpo", {"cost_limit": 0.5, "advantages": "agent"}, {}),
    "macpo-alone": (1, arena(priced=True), "macpo", {"cost_limit": [0.9]}, {}),
    "mappo-lagrangian": (3, arena(**PRICED), "mappo-lagrangian", {"cost_limit": 0.7}, {}),
    "mappo-lagrangian-two": (2, arena(late=True, priced=True), "mappo-lagrangian", {
        "cost_limit": [0.2, 0.9], "minibatches": 2, **CRITICS, "advantages": "agent", "chunk": 3},
                             REMEMBERING),
    "restarting-mappo-lagrangian": (3, arena("arena:forgetful", priced=True), "mappo-lagrangian", {"cost_limit": 0.5},
                                    {}),
    "mat": (3, arena(**LASTING), "mat", {}, TRANSFORMER),
    "mat-five": (5, arena(actions="medley", masks=True, late=True), "mat", {"minibatches": 2, "order": "fixed"},
                 OBSERVATIONS | TRANSFORMER),
    "mat-root": (3, arena(ROOT, actions="box", late=True), "mat", {"decay": "linear"}, TRANSFORMER),
    "mat-masked": (3, arena(**LASTING, masks=True), "mat", {"advantages": "agent"}, TRANSFORMER),
    "mat-alone": (1, arena(), "mat", {}, TRANSFORMER),
    "restarting-mat": (2, arena("arena:forgetful"), "mat", {}, TRANSFORMER),
    "ippo-two": (2, arena(late=True), "ippo", SEPARATE | {"minibatches": 2, **CRITICS}, {}),
}
NAMES = list(_CASES)
COUNTED = [name for name, (*_, env, _, _, _) in _CASES.items() if name != "ippo-separate-own"
           and env in (arena(**LASTING), arena(**LASTING, masks=True), arena(**PRICED))]


def experiment(name: str, seed: int = 11) -> dict[str, Any]:
    """The tables of the variant called `name`; the games of "restarting-..." cannot be saved."""
    agents, env, trainer, options, more = _CASES[name]
    usual = {"rollout": 6, "team_reward": "mean", "actor_step": 0.02, "critic_step": 0.02}
    if trainer in REPLAYING:
        usual |= {"updates": 3, "batch": 8, "buffer": 40, "warmup": 12, "tau": 0.1}
    elif trainer in FACTORISING:
        usual |= {"updates": 3, "batch": 4, "buffer": 40, "warmup": 12, "tau": 0.1, "epsilon_samples": 40}
    else:
        usual |= {"epochs": 2, **({} if trainer == "mat" else {"critic_epochs": 2})}
        usual |= {} if trainer in ("hatrpo", "haa2c", "macpo") else {"clip_range": 0.1}
    return {"agents": agents, "iterations": ITERATIONS, "seed": seed, "envs": 2, "env": env, "topology": "complete",
            "policy": {"name": "mlp", "hidden": [6]}, "critic": {"name": "mlp", "hidden": [5]},
            "algorithm": {"name": trainer, **usual, **options}, "log_every": 1, "checkpoint_every": 2, **more}


def trainer_bytes(name: str, width: int) -> float:
    """What the trainer and agents of a variant with games of `EPISODE` steps send each other, in all, per agent.

    Observations (and rewards, to agents with critics of their own; and masks of three bits, in one octet) go to agents
    when games begin, after every step and when a game begins anew; actions (one octet each) to the trainer.  Where the
    trainer acts for its agents both go the other way.  Numbers are of four octets.

    Args:
        width: numbers in theta.
    """
    tables = experiment(name)
    options, envs = tables["algorithm"], tables["envs"]
    steps = options["rollout"] * tables["iterations"]
    samples = options["rollout"] * envs
    seen = 4 * (NUMBERS + 2 + (options["name"] in ("ippo", "mat"))) + tables["env"]["kwargs"].get("masks", False)
    playing = (1 + steps + steps // EPISODE) * envs * seen + steps * envs
    baseline = options.get("baseline", "counterfactual" if options["name"] == "coma" else None)
    if baseline:                                         # actions for a critic of them where games or rollouts end
        playing += envs * sum(step % EPISODE == 0 or step % options["rollout"] == 0 for step in range(1, steps + 1))
    if options["name"] == "mat":                         # whoever holds the model learns by itself
        return playing
    if options["name"] in REPLAYING:                  # a' and a to the trainer, dQ/da to the agent (and its new a back)
        numbers = 3 * (3 if options["name"] == "maddpg" else 4)
        numbers = options["batch"] * numbers + 2 * width * (options.get("parameters") == "shared")
        return playing + tables["iterations"] * options["updates"] * 4 * numbers
    if options["name"] in FACTORISING:
        numbers = options["batch"] * FACTORISING[options["name"]] + 2 * width * (options["parameters"] == "shared")
        return playing + tables["iterations"] * options["updates"] * 4 * numbers
    climbs = options["epochs"] * options.get("minibatches", 1)
    M = samples // options.get("minibatches", 1)
    learning = 4 * samples                               # advantages, or Q(s, a); from agent to agent the factor, too
    if options["name"] in ("happo", "hatrpo", "haa2c", "haml", "macpo", "mappo-lagrangian"):
        learning += 4 * samples
    if "cost_limit" in options:                          # advantages of costs, for MACPO what they are above the limit
        learning += 4 * (samples + (options["name"] == "macpo"))
    if options["name"] == "jrppo":
        learning += climbs * 2 * 4 * M
    if baseline not in (None, "none"):                   # Q of the three actions, too
        learning += 3 * 4 * samples
    own = options["name"] == "ippo" or (baseline is not None and options.get("advantages") != "agent")
    if own:                                            # three numbers summed; of IPPO the team's rewards are handed out
        learning += 2 * 4 * 3
    if options.get("parameters") == "shared":
        learning += climbs * 2 * 4 * width
    return playing + tables["iterations"] * learning
