"""The optimiser of a run: Adam, over groups of parameters that are trained alike."""

import torch
from torch import nn

from satl.config import Training
from satl.methods.base import Method, ParameterGroup


def build_optimizer(
    model: nn.Module, method: Method, training: Training, device: torch.device
) -> torch.optim.Adam:
    """Adam over what is trained of the model and of the method.

    Each group has its `rate_factor`, by which the learning rate of a step is to be multiplied.

    Args:
        model: the trained part of the network.
        method: whose `parameter_groups` join.
        training: the protocol.
        device: where model and method are.
    """
    # What is trained as the network is joins its group: one kernel updates all of it.
    network, apart = [*model.parameters()], []
    for group in method.parameter_groups():
        if group.rate_factor == 1 and group.weight_decay:
            network += group.parameters
        else:
            apart.append(group)
    return torch.optim.Adam(
        [
            {
                "params": [p for p in group.parameters if p.requires_grad],
                "weight_decay": training.weight_decay * group.weight_decay,
                "rate_factor": group.rate_factor,
            }
            for group in (ParameterGroup(tuple(network)), *apart)
        ],
        lr=training.learning_rate,
        fused=device.type != "mps",
    )
