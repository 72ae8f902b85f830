"""What the command line tells of networks, with and without PyTorch."""

from __future__ import annotations

import re
import subprocess
import sys

from support.launching import environment

OPTIONS = {"[policy] of networks": ["shared", "sees", "entropy", "initial", "log_std", "deviations"],
           "[critic] and [reward_model]": ["sees", "joint"],
           'name = "cnn"': ["channels", "kernel", "stride", "padding", "hidden", "activation", "layout"],
           'name = "mlp"': ["hidden", "activation"],
           "[normalise]": ["observations", "rewards"]}


def said(*words: str, without: str = "") -> str:
    """What a command prints where the module `without` is not installed, and which packages it has loaded."""
    absent = f"sys.modules[{without!r}] = None" if without else ""
    program = (f"import sys\n{absent}\nfrom netac import cli\nsys.argv[1:] = {list(words)!r}\n"
               "try:\n    cli.main()\nfinally:\n"
               "    print('loaded', [name for name in ('torch', 'gymnasium') if sys.modules.get(name)])")
    done = subprocess.run([sys.executable, "-c", program], env=environment(), capture_output=True, text=True,
                          timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def sections(text: str) -> dict[str, list[str]]:
    """Options by section title: two columns, whose first one is indented by two."""
    found: dict[str, list[str]] = {}
    title, before = "", ""
    for line in text.splitlines():
        if line and line[0] != " ":
            if before and before[0] != " ":               # titles may take two lines
                del found[title]
                line = f"{title} {line}"
            title, found[line] = line, []
        elif line[2:3].strip() and title:
            found[title].append(line.split()[0])
        before = line
    return found


def test_help_documents_the_options_of_networks():
    found = sections(said("run", "--help"))
    for title, options in OPTIONS.items():
        whole = next(key for key in found if key.startswith(title))
        assert found[whole] == options, whole
    assert "tensorboard" in found["Keys of an experiment file (defaults in brackets):"]


def test_help_without_torch_says_how_to_get_it():
    text = said("run", "--help", without="torch")
    assert 'pip install "netac[torch]"' in " ".join(text.split()) and "[policy] of linear agents" in text
    assert "[normalise]" in text and "log_std" not in text


def test_list_needs_no_torch():
    for text in (said("list", "networks"), said("list")):
        assert re.search("^  mlp +Dense layers", text, re.M) and re.search("^  cnn +Convolutions", text, re.M)
        assert text.endswith("loaded []\n")
    assert "coordination  The coordination game" in said("list", "envs", without="torch")


def test_a_comparison_tells_once_what_was_chosen_and_for_whom(tmp_path):
    file = tmp_path / "game.toml"
    file.write_text('agents = 3\niterations = 1\nenv = "coordination"\ntopology = "ring"\n[algorithm]\nname = "cac"\n'
                    "[algorithm.happo]\nrollout = 10\n[algorithm.mappo]\nrollout = 10\n")
    words = ["compare", file, "--algorithms", "cac,happo,mappo,ippo", "--seeds", "1", "--set", "algorithm.rollout=10"]
    done = subprocess.run([sys.executable, "-m", "netac", *words, "--out", tmp_path / "out"], env=environment(),
                          capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stderr
    told = [line for line in done.stderr.splitlines() if not line.endswith(" ...")]      # of what takes long here
    assert told == ["netac: note: happo, mappo: the agents' rewards differ: the trainer's critic learns from their "
                    'mean (algorithm.team_reward = "mean")']
