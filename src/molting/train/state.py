"""What an optimizer step changes, and how it is put into a resume point and taken out again."""

from __future__ import annotations

from typing import Any

from molting.core.config import Train

Tensors = dict[str, Any]


class State:
    """float32 master copies of the adapters with AdamW over them, and the states worth keeping."""

    def __init__(self, model: Any, config: Train) -> None:
        import torch

        self.parameters = {n: p for n, p in model.named_parameters() if p.requires_grad}
        self.masters: Tensors = {
            name: p.detach().float().clone() for name, p in self.parameters.items()
        }
        self.optimizer = torch.optim.AdamW(
            list(self.masters.values()),
            lr=config.learning_rate or 0.0,
            weight_decay=config.weight_decay,
            fused=True,
        )
        self.kept: dict[int, Tensors] = {0: self._copy()}
        """Masters by epoch: those of the epoch that is best so far, and rivals that may yet be."""

    def keep(self, epoch: int, wanted: set[int]) -> None:
        """Keep the state of the epoch that has just ended if it is wanted, and drop what is not."""
        if epoch in wanted and epoch not in self.kept:
            self.kept[epoch] = self._copy()
        self.kept = {e: tensors for e, tensors in self.kept.items() if e in wanted}

    def show(self, tensors: Tensors) -> None:
        """Put masters into the model itself, in its dtype."""
        import torch

        with torch.no_grad():
            for name, parameter in self.parameters.items():
                parameter.copy_(tensors[name])

    def update(self, rate: float) -> None:
        """One optimizer step with the gradients that lie at the masters."""
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.optimizer.step()

    def tensors(self) -> Tensors:
        """For the resume point."""
        found = {f"master/{name}": tensor.detach() for name, tensor in self.masters.items()}
        for epoch, kept in self.kept.items():
            found |= {f"kept/{epoch}/{name}": tensor for name, tensor in kept.items()}
        for name, master in self.masters.items():
            state = self.optimizer.state.get(master)
            if state:
                found[f"mean/{name}"] = state["exp_avg"]
                found[f"variance/{name}"] = state["exp_avg_sq"]
        return {name: tensor.cpu().contiguous() for name, tensor in found.items()}

    def restore(self, tensors: Tensors, step: int) -> None:
        import torch

        self.kept = {}
        for key, tensor in tensors.items():
            kind, _, rest = key.partition("/")
            if kind == "kept":
                epoch, _, name = rest.partition("/")
                device = self.masters[name].device
                self.kept.setdefault(int(epoch), {})[name] = tensor.to(device)
        for name, master in self.masters.items():
            master.copy_(tensors[f"master/{name}"])
            if f"mean/{name}" in tensors:
                self.optimizer.state[master] = {
                    "step": torch.tensor(float(step)),
                    "exp_avg": tensors[f"mean/{name}"].to(master.device),
                    "exp_avg_sq": tensors[f"variance/{name}"].to(master.device),
                }

    def _copy(self) -> Tensors:
        return {name: tensor.detach().clone() for name, tensor in self.masters.items()}
