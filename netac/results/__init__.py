"""What a run leaves behind: its folder, its numbers, their statistics, tables and pictures.

| module | holds |
| --- | --- |
| `files` | atomic files, run folders, the lock on a run folder |
| `metrics` | `metrics.csv`: one row per logged iteration |
| `runs` | `summary.json`, and a whole run folder read back |
| `statistics` | interquartile mean, bootstrap and Wilson intervals |
| `curves` | learning curves of several seeds on one grid |
| `comparison` | `comparison.csv` and `comparison_runs.csv` |
| `plots` | learning curves and comparisons as pictures |
| `animation` | an episode as an animated picture |
| `pictures` | a figure written as one whole file |

Nothing is imported here, so that a run loads only what it writes with.
"""
