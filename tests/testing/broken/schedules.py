"""Schedules of which each breaks the one rule that it is named after."""

import itertools

import p2pkit


def below(length: p2pkit.RunLength):
    """Falls on and on."""
    return lambda step: 1 - 2 * step / length.steps


def nothing():
    """Learns nothing."""
    return lambda step: 0.0


def counts(length: p2pkit.RunLength):
    """Counts its calls."""
    calls = itertools.count()
    return lambda step: 1 / (1 + next(calls))


def fine(length: p2pkit.RunLength):
    """Falls to half."""
    return lambda step: 1 - step / length.steps / 2


@p2pkit.hookimpl
def p2pkit_schedules():
    yield p2pkit.Schedule("factor", below)
    yield p2pkit.Schedule("some_rate", nothing)
    yield p2pkit.Schedule("resumes", counts)
    yield p2pkit.Schedule("nothing", fine)
