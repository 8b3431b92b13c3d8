"""One network and its optimiser: warm-up, clipping, averaged weights, and a watch on non-finite numbers."""

import copy

import torch
from torch import Tensor, nn

from diamond.config import UpdateConfig
from diamond.errors import TrainingError

DECAYED = (nn.Linear, nn.Conv2d, nn.LSTM, nn.LSTMCell)
"""Modules whose weights decay; biases, normalisations and embeddings never do (as in the published code)."""


class Learner:
    """Owns how a network's weights change; the losses are pure functions elsewhere."""

    def __init__(self, name: str, network: nn.Module, cfg: UpdateConfig) -> None:
        self.name = name
        self.network = network
        self.cfg = cfg
        self.updates = 0
        self._parameters = dict(network.named_parameters())
        decayed = decayed_parameters(network)
        self.optimizer = torch.optim.AdamW(
            [
                {"params": [p for n, p in self._parameters.items() if n in decayed], "weight_decay": cfg.weight_decay},
                {"params": [p for n, p in self._parameters.items() if n not in decayed], "weight_decay": 0.0},
            ],
            lr=cfg.learning_rate,
            eps=cfg.epsilon,
            fused=next(iter(self._parameters.values())).device.type in ("cpu", "cuda"),
        )
        self.averaged = copy.deepcopy(network).requires_grad_(False) if cfg.ema_decay > 0 else network
        """The network to dream and act with: averaged weights where `ema_decay` asks for them, else the trained
        ones."""
        self._finite = torch.ones((), dtype=torch.bool, device=next(iter(self._parameters.values())).device)

    def step(self, loss: Tensor) -> Tensor:
        """One update along the gradient of `loss`; returns the gradient's norm before clipping."""
        warm_up = min(1.0, self.updates / self.cfg.warmup_updates) if self.cfg.warmup_updates else 1.0
        for group in self.optimizer.param_groups:
            group["lr"] = self.cfg.learning_rate * warm_up
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        norm = nn.utils.clip_grad_norm_(self._parameters.values(), self.cfg.max_gradient_norm)
        self.optimizer.step()
        self.updates += 1
        # Only looked at in `check_finite`: reading it here would make every update wait for the device.
        self._finite &= torch.isfinite(loss.detach()) & torch.isfinite(norm)
        if self.averaged is not self.network:
            self._average()
        return norm

    @torch.no_grad()
    def _average(self) -> None:
        # Early on a plain mean, so that the initial weights are forgotten quickly.
        decay = min(self.cfg.ema_decay, self.updates / (self.updates + 10))
        for average, parameter in zip(self.averaged.parameters(), self._parameters.values(), strict=True):
            average.lerp_(parameter, 1 - decay)

    def check_finite(self) -> None:
        """Stop if any loss or gradient so far was NaN or infinite.

        Raises:
            TrainingError: one was.
        """
        if not bool(self._finite):
            raise TrainingError(
                f"the {self.name}'s loss or gradient is nan or infinite at update {self.updates}: lower "
                f"updates.{self.name}.learning_rate or max_gradient_norm, or resume from an earlier checkpoint"
            )

    def state_dict(self) -> dict[str, Tensor]:
        """Optimiser state, update count and averaged weights, as flat named tensors."""
        state = {"updates": torch.tensor(self.updates)}
        for name, parameter in self._parameters.items():
            for key, value in self.optimizer.state.get(parameter, {}).items():
                state[f"optimizer.{name}.{key}"] = value
        if self.averaged is not self.network:
            state |= {f"averaged.{name}": value for name, value in self.averaged.state_dict().items()}
        return state

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Continue where `state_dict()` was taken."""
        self.updates = int(state["updates"])
        for name, parameter in self._parameters.items():
            saved = {key: state.get(f"optimizer.{name}.{key}") for key in ("step", "exp_avg", "exp_avg_sq")}
            if saved["step"] is None:
                continue
            target = self.optimizer.state[parameter]
            for key, value in saved.items():
                assert value is not None
                if key == "step":  # on a GPU, the fused optimiser counts there
                    target[key] = value.to(parameter.device if parameter.device.type == "cuda" else "cpu", copy=True)
                else:  # in the memory order of the parameter, without which updates are not bit-equal
                    target[key] = torch.empty_like(parameter).copy_(value)
        if self.averaged is not self.network:
            prefix = "averaged."
            self.averaged.load_state_dict({k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)})


def decayed_parameters(network: nn.Module) -> set[str]:
    """Names of the parameters that weight decay applies to."""
    return {
        f"{prefix}.{name}".lstrip(".")
        for prefix, module in network.named_modules()
        if isinstance(module, DECAYED)
        for name, _ in module.named_parameters(recurse=False)
        if name.startswith("weight")
    }
