"""How much better a generator is than what needs no learning."""

from __future__ import annotations

import math

from p2pkit import Report


def gains(report: Report) -> dict[str, float]:
    """Return by how many percent each metric is better than the better of its baselines.

    Args:
        report: Scores, baselines, and which direction is good.

    Returns:
        Percent by metric; those without a direction, or whose baseline is zero or not finite, are left out.
    """
    found = {}
    for name, value in report.metrics.items():
        higher = report.higher_is_better.get(name)
        scores = [scores[name] for scores in report.baselines.values() if math.isfinite(scores.get(name, math.nan))]
        if higher is None or not scores:
            continue
        best = max(scores) if higher else min(scores)
        if best != 0 and math.isfinite(value):
            found[name] = 100 * (value - best if higher else best - value) / abs(best)
    return found
