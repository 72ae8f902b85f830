"""An episode of discrete actions as an animated picture."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np

from netac.errors import InputError
from netac.results.files import atomic_write, cannot_write

FRAMES = 60


def animate(actions: np.ndarray, kinds: int, rewards: np.ndarray, file: str | Path) -> None:
    """Draw who takes which action, step by step, and the team-mean reward.

    Args:
        actions: (steps, N) joint actions; at most the first 60 steps are drawn.
        kinds: actions each agent can choose from.
        rewards: (steps,) team-mean rewards.
        file: an animated .gif.

    Raises:
        InputError: `file` is not a .gif.
        RunError: it cannot be written.
    """
    from matplotlib.animation import FuncAnimation, PillowWriter
    from matplotlib.figure import Figure
    if Path(file).suffix.lower() != ".gif":
        raise InputError("should be a .gif file", key="--render", found=str(file))
    steps, agents = min(len(actions), FRAMES), actions.shape[1]
    figure = Figure(figsize=(6.4, 4.8), layout="constrained")
    above, below = figure.subplots(2, 1, height_ratios=(3, 1))
    shown = above.imshow(np.zeros((agents, kinds)), vmin=0, vmax=1, cmap="Blues", aspect="auto")
    above.set(xlabel="action", ylabel="agent", xticks=range(kinds), yticks=range(0, agents, max(1, agents // 10)))
    line, = below.plot([], [], color="#d55e00")
    low, high = float(rewards[:steps].min()), float(rewards[:steps].max())
    margin = 0.1 * (high - low) or 1.0
    below.set(xlim=(0, max(1, steps - 1)), ylim=(low - margin, high + margin), xlabel="step", ylabel="team reward")

    def draw(t: int):
        shown.set_data(np.eye(kinds)[actions[t]])
        line.set_data(np.arange(t + 1), rewards[:t + 1])
        above.set_title(f"step {t}, team reward {rewards[t]:.3g}")
        return shown, line

    try:
        with tempfile.TemporaryDirectory() as folder:        # the writer needs the name of a file
            whole = Path(folder) / "episode.gif"
            FuncAnimation(figure, draw, frames=steps).save(whole, writer=PillowWriter(fps=8))
            picture = whole.read_bytes()
    except OSError as error:
        raise cannot_write(file, error) from error
    atomic_write(file, picture)
