"""A short supervised pre-training on single glyphs: ImageNet's part for the embedded data."""

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from tqdm import tqdm

from satl.config import Pretraining
from satl.core.seeds import derive_seed
from satl.data.glyphs.dataset import single_glyphs
from satl.data.images.batches import normalise, training_order
from satl.models.backbone import build_network, input_statistics


def pretrain_on_glyphs(
    backbone: str, options: Pretraining, device: torch.device
) -> dict[str, Tensor]:
    """The state_dict of a backbone that has learnt to tell single glyphs apart.

    None of the glyphs is one of the data set's categories. The learning rate follows one cycle.

    Args:
        backbone: its name.
        options: of the pre-training.
        device: to train on.
    """
    if device.type == "cpu":
        torch.set_num_threads(options.threads)
        torch.use_deterministic_algorithms(True)
    images, classes = single_glyphs(options.images, options.image_size, options.seed)
    torch.manual_seed(derive_seed(options.seed, "pretraining"))
    network = build_network(backbone, int(classes.max()) + 1, options.image_size)
    statistics = input_statistics(backbone)
    network.to(device, memory_format=torch.channels_last).train()
    optimizer = torch.optim.Adam(network.parameters())
    orders = [
        training_order(len(images), options.batch_size, True, options.seed, epoch)
        for epoch in range(options.epochs)
    ]
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, options.learning_rate, total_steps=sum(map(len, orders))
    )
    targets = torch.from_numpy(classes).to(device)
    bar = tqdm([batch for order in orders for batch in order], desc="pre-train", unit="batch")
    for batch in bar:
        inputs = normalise(torch.from_numpy(images[np.array(batch)]).to(device), *statistics)
        logits = network(inputs.contiguous(memory_format=torch.channels_last))
        loss = F.cross_entropy(logits, targets[torch.tensor(batch, device=device)])
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        schedule.step()
        bar.set_postfix(loss=f"{loss.item():.2f}", refresh=False)
    return {name: value.cpu().contiguous() for name, value in network.state_dict().items()}
