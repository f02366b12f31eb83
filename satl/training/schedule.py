"""The learning rate over the steps of a training."""

import math

from satl.config import Training

RISE = 0.25  # share of the steps of one cycle in which the rate rises


def learning_rate(training: Training, epoch: int, step: int, steps: int) -> float:
    """The rate of one step.

    Args:
        training: the protocol.
        epoch, step: from 0; the step within its epoch, up to `steps` where the epoch has ended.
        steps: per epoch.
    """
    if training.schedule == "step":
        return training.learning_rate * training.lr_gamma ** (epoch // training.lr_step)
    return training.learning_rate * one_cycle((epoch * steps + step) / (training.epochs * steps))


def one_cycle(done: float) -> float:
    """Share of the highest rate at `done` in 0..1: a linear rise, then a cosine down to 0.

    After Smith and Topin (2019), in the form that multi-label papers use since ASL (2021).
    """
    if done < RISE:
        return done / RISE
    return (1 + math.cos(math.pi * (done - RISE) / (1 - RISE))) / 2
