"""The common trainer: every architecture of every method is trained by this file, with a named recipe.

Read `train` from top to bottom: it is the whole protocol.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from bench.data.batches import Batches
from bench.device.distributed import share_statistics
from bench.device.engine import Engine
from bench.plan.recipe import Recipe
from bench.run.last_batch import Mixup
from bench.run.loop import Loop
from methods.parts.single_values import take_single_values
from methods.spaces.base import DropsPaths
from methods.tasks import CLASSIFICATION, Task


class WeightMasks:
    """Unstructured masks, exact through training: masked weights are zero in every forward pass and get no update.

    Raises:
        ValueError: a mask whose name or shape the network does not have.
    """

    def __init__(self, network: nn.Module, masks: Mapping[str, Tensor]) -> None:
        parameters = dict(network.named_parameters())
        for name, mask in masks.items():
            if name not in parameters or parameters[name].shape != mask.shape:
                found = tuple(parameters[name].shape) if name in parameters else "no such parameter"
                raise ValueError(f"mask '{name}' of shape {tuple(mask.shape)} does not fit the network: {found}")
        self.parameters = [parameters[name] for name in masks]
        self.masks = [mask.to(parameters[name]) for name, mask in masks.items()]

    def apply_to_weights(self) -> None:
        with torch.no_grad():
            for parameter, mask in zip(self.parameters, self.masks, strict=True):
                parameter.mul_(mask)

    def apply_to_gradients(self) -> None:
        """Before clipping, so that masked weights do not count in the gradient's norm."""
        for parameter, mask in zip(self.parameters, self.masks, strict=True):
            if parameter.grad is not None:
                parameter.grad.mul_(mask)


def train(
    network: nn.Module,
    recipe: Recipe,
    batches: Batches,
    evaluation: Batches,
    engine: Engine,
    make_loop: Callable[[dict[str, Any]], Loop],
    num_classes: int,
    masks: Mapping[str, Tensor] | None = None,
    penalty: Callable[[nn.Module], Tensor | None] | None = None,
    evaluate_every: int = 1,
    part: str = "test",
    task: Task = CLASSIFICATION,
) -> tuple[dict[str, float], Loop]:
    """Train a network by a recipe; the network is changed in place (and holds the averaged weights if there are any).

    Args:
        evaluation: what loss and metrics are reported on; never used to choose anything.
        make_loop: builds the `Loop` from the parts whose state a continued training needs.
        part: what `evaluation` is of, as its values are called.
        masks: weights to be kept at zero, by parameter name.
        penalty: an extra loss of the network's weights (network slimming).
        task: whose loss is lowered, and what is measured.

    Returns:
        the last epoch's values, and the loop (seconds, memory, images).

    Raises:
        DivergenceError: the loss is no longer finite.
    """
    weight_masks = made_ready(network, batches, engine, masks or {})
    optimizer = make_optimizer(network, recipe)
    average = make_average(network, recipe)
    mix = Mixup(recipe.mixup, num_classes) if recipe.mixup else None
    loop = make_loop({"network": network, "optimizer": optimizer, **({"average": average} if average else {})})
    values: dict[str, float] = {}

    def update(inputs: Tensor, targets: Tensor, labels: Tensor) -> dict[str, Tensor]:
        with engine.autocast():
            outputs = network(inputs.contiguous(memory_format=engine.memory_format))
            main, loss = training_loss(outputs, targets, recipe, task)
            extra = penalty(network) if penalty else None
        descend(loss if extra is None else loss + extra, network, optimizer, weight_masks, recipe.grad_clip, engine)
        if average is not None:
            average.update(network)
        return task.sums(main.detach(), labels, loss.detach())

    step = engine.graphed(update)
    for epoch in loop.epochs(recipe.epochs):
        set_learning_rate(optimizer, recipe.lr_at(epoch))
        if recipe.drop_path and isinstance(network, DropsPaths):
            network.set_drop_path(recipe.drop_path_at(epoch))
        network.train()
        fixed = frozen_in_a_graph(network, optimizer)
        for images, labels in loop.steps(batches.epoch(epoch, loop.step), len(batches)):
            engine.group.weigh(len(labels), batches.images_in(loop.step))
            inputs, targets = mix(images, labels) if mix else (images, labels)
            loop.add(step(inputs, targets, labels, constants=fixed))
        values = loop.averages()
        engine.group.check_same(network)
        if (epoch + 1) % evaluate_every == 0 or epoch + 1 == recipe.epochs:
            values |= evaluate(network if average is None else average.module, evaluation, engine, f"{part}/", task)
        loop.end_epoch({**values, "lr": recipe.lr_at(epoch)})
    if average is not None:
        network.load_state_dict(average.module.state_dict())
    if not values:  # everything was done before a restart
        values = loop.epoch_values[-1]
    return values, loop


def made_ready(network: nn.Module, batches: Batches, engine: Engine, masks: Mapping[str, Tensor]) -> WeightMasks:
    """On its device in its memory format, with statistics over all processes, able to learn from the smallest batch,
    its masked weights at zero."""
    network.to(engine.device).to(memory_format=engine.memory_format)
    share_statistics(network, engine.group)
    if batches.smallest == 1:
        take_single_values(network)
    weight_masks = WeightMasks(network, masks)
    weight_masks.apply_to_weights()
    return weight_masks


def descend(
    loss: Tensor,
    network: nn.Module,
    optimizer: torch.optim.Optimizer,
    masks: WeightMasks,
    grad_clip: float,
    engine: Engine,
) -> None:
    """One update by a loss's gradient: the mean over all processes, of unmasked weights alone, clipped to a norm."""
    optimizer.zero_grad(set_to_none=False)
    loss.backward()
    engine.group.average_gradients(network.parameters())
    masks.apply_to_gradients()
    if grad_clip:
        nn.utils.clip_grad_norm_(network.parameters(), grad_clip)
    optimizer.step()
    masks.apply_to_weights()


def training_loss(
    outputs: Tensor | tuple[Tensor, Tensor], targets: Tensor, recipe: Recipe, task: Task = CLASSIFICATION
) -> tuple[Tensor, Tensor]:
    """The main outputs, and the task's loss plus the auxiliary head's. Targets of classes may be distributions."""
    terms = {name: getattr(recipe, name) for name in task.loss_terms}
    if isinstance(outputs, tuple):
        main, auxiliary = outputs
        loss = task.loss(main, targets, **terms)
        return main, loss + recipe.auxiliary_weight * task.loss(auxiliary, targets, **terms)
    return outputs, task.loss(outputs, targets, **terms)


@torch.no_grad()
def evaluate(
    network: nn.Module, batches: Batches, engine: Engine, prefix: str, task: Task = CLASSIFICATION
) -> dict[str, float]:
    """Loss and metrics in evaluation mode, over the batches of all processes; restores the mode."""
    was_training = network.training
    network.eval()
    sums: dict[str, Tensor] = {}
    for inputs, targets in batches.epoch(0):
        with engine.autocast():
            outputs = network(inputs)
        for name, value in task.evaluated(outputs, targets).items():
            value = value.to(torch.float64)
            sums[name] = sums[name] + value if name in sums else value
    network.train(was_training)
    found = task.values({name: float(value) for name, value in engine.group.totals(sums).items()})
    return {f"{prefix}{name}": value for name, value in found.items()}


def make_optimizer(network: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    """torch's SGD for the published recipes, timm's factory for every other name.

    On a GPU, SGD's learning rate is a tensor, so that a recorded step sees the schedule, and its update one kernel.

    Raises:
        ValueError: timm does not know the name.
    """
    device = next(network.parameters()).device
    gpu = device.type == "cuda"
    if recipe.optimizer == "sgd":
        rate = torch.tensor(recipe.lr, device=device) if gpu else recipe.lr
        options: dict[str, Any] = {"fused": True} if gpu else {}
        return torch.optim.SGD(
            network.parameters(), rate, momentum=recipe.momentum, weight_decay=recipe.weight_decay, **options
        )
    from timm.optim import create_optimizer_v2

    optimizer = create_optimizer_v2(
        network, opt=recipe.optimizer, lr=recipe.lr, weight_decay=recipe.weight_decay, momentum=recipe.momentum
    )
    for group in optimizer.param_groups:
        if gpu and "capturable" in group:
            group["capturable"] = True
    return optimizer


def set_learning_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """Of all groups; a rate that is a tensor stays one, on the parameters' device (a loaded one is on the host)."""
    for group in optimizer.param_groups:
        if isinstance(group["lr"], Tensor):
            group["lr"] = group["lr"].to(group["params"][0].device).fill_(rate)
        else:
            group["lr"] = rate


def frozen_in_a_graph(network: nn.Module, optimizer: torch.optim.Optimizer) -> tuple[Any, ...]:
    """Python values of a step that change between epochs: a recording of the step holds only as long as they do."""
    rates = tuple(group["lr"] for group in optimizer.param_groups if not isinstance(group["lr"], Tensor))
    return *rates, getattr(network, "drop_path_on", None)


def make_average(network: nn.Module, recipe: Recipe) -> Any:
    """timm's exponential moving average of the weights, or None."""
    if not recipe.ema_decay:
        return None
    from timm.utils import ModelEmaV3

    return ModelEmaV3(network, decay=recipe.ema_decay)
