"""The engine: from a plan to a trained, scored and saved generator. One line a room, the ones above use the ones below.

- `training`: the loop, and what happens between its steps.
- `check`: all that can be wrong with a plan, found before the first kernel.
- `build`: from a validated run to networks on their device, with `auto` settled.
- `evaluation`: scores and shows a network; trains nothing.
- `step`: one update of each player.
- `data`: from a data set to batches on the device; knows no network.
- `storage`: what lies where in a run's folder.
- `device`: where and in which arithmetic networks compute.
- `distributed`: ranks, collectives and signals; nothing of a run.
- `checked`: a plan whose parts are known to be there.
"""
