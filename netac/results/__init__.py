"""What runs leave behind, read back: numbers, their statistics, tables and pictures.  No environment is made here.

| module | holds |
| --- | --- |
| `tables` | CSV files: written a row at a time, read back as text or numbers |
| `records` | the names of a run folder's files; `summary.json`; a whole run folder read back |
| `tensorboard` | TensorBoard's event files |
| `statistics` | interquartile mean, bootstrap and Wilson intervals |
| `curves` | learning curves of several seeds on one grid |
| `comparison` | algorithms over seeds: `comparison.csv`, `comparison_runs.csv`, the table on the screen |
| `plots`, `comparison_plots` | learning curves of any runs, and comparisons, as pictures |
| `panels` | what these pictures have in common: axes, colours, bands |
| `animation` | an episode as an animated picture |

General file I/O is in `netac.utils.files`, and what writes a run while it runs in `netac.experiment`.  Nothing is
imported here, so that a run loads only what it writes with.
"""
