"""What a run leaves behind: its folder, its numbers, their statistics, tables and pictures.

| module | holds |
| --- | --- |
| `tables` | `metrics.csv`, one row per logged iteration, and other tables of numbers |
| `tensorboard` | event files beside them |
| `records` | `summary.json`, and a whole run folder read back |
| `statistics` | interquartile mean, bootstrap and Wilson intervals |
| `curves` | learning curves of several seeds on one grid |
| `comparison` | `comparison.csv` and `comparison_runs.csv` |
| `plots`, `comparison_plots`, `panels` | learning curves and comparisons as pictures |
| `animation` | an episode as an animated picture |

Nothing is imported here, so that a run loads only what it writes with.
"""
