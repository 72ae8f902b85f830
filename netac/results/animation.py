"""An episode as an animated picture: frames as the environment draws them, or who takes which action."""

from __future__ import annotations

import io
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from netac.utils.errors import InputError
from netac.utils.files import atomic_write, cannot_write

if TYPE_CHECKING:
    from matplotlib.artist import Artist

FRAMES = 60


def check_name(file: str | Path) -> None:
    """Refuse a file that is not a .gif."""
    if Path(file).suffix.lower() != ".gif":
        raise InputError("should be a .gif file", key="--render", found=str(file))


def check_place(file: str | Path) -> None:
    """Refuse a file that is not a .gif, or whose folder does not exist: to be told before playing."""
    check_name(file)
    if not Path(file).parent.is_dir():
        raise InputError("its folder does not exist", key="--render", found=str(file),
                         valid="a file in an existing folder")


def film(frames: Sequence[np.ndarray], file: str | Path, per_second: int = 8) -> None:
    """Write pictures (height, width, 3), bytes, as an animated .gif.

    Raises:
        InputError: `file` is not a .gif.
        RunError: it cannot be written.
    """
    from PIL import Image
    check_name(file)
    first, *others = (Image.fromarray(frame).convert("P", palette=Image.Palette.ADAPTIVE) for frame in frames)
    picture = io.BytesIO()
    first.save(picture, format="GIF", save_all=True, append_images=others, duration=1000 // per_second, loop=0)
    atomic_write(file, picture.getvalue())


def animate(actions: np.ndarray, n_actions: int, rewards: np.ndarray, file: str | Path) -> None:
    """Draw who takes which action, step by step, and the team-mean reward.

    Args:
        actions: (steps, N) joint actions; at most the first 60 steps are drawn.
        n_actions: actions each agent can choose from.
        rewards: (steps,) team-mean rewards.
        file: an animated .gif.

    Raises:
        InputError: `file` is not a .gif.
        RunError: it cannot be written.
    """
    from matplotlib.animation import FuncAnimation, PillowWriter
    from matplotlib.figure import Figure
    check_name(file)
    steps, agents = min(len(actions), FRAMES), actions.shape[1]
    figure = Figure(figsize=(6.4, 4.8), layout="constrained")
    above, below = figure.subplots(2, 1, height_ratios=(3, 1))
    shown = above.imshow(np.zeros((agents, n_actions)), vmin=0, vmax=1, cmap="Blues", aspect="auto")
    above.set(xlabel="action", ylabel="agent", xticks=range(n_actions), yticks=range(0, agents, max(1, agents // 10)))
    line, = below.plot([], [], color="#d55e00")
    low, high = float(rewards[:steps].min()), float(rewards[:steps].max())
    margin = 0.1 * (high - low) or 1.0
    below.set(xlim=(0, max(1, steps - 1)), ylim=(low - margin, high + margin), xlabel="step", ylabel="team reward")

    def draw(t: int) -> tuple[Artist, Artist]:
        shown.set_data(np.eye(n_actions)[actions[t]])
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
