"""The published code, timed in a process of its own (`reference_worker`)."""

import contextlib
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from diamond.config import Config, to_dict
from diamond.errors import ConfigError, DiamondError
from diamond.lab.speed import reference_worker


class Reference:
    """An unmodified checkout of the published code, doing what `config` says with networks of the same sizes.

    Args:
        source: the checkout (github.com/eloialonso/diamond at 5bcd159); nothing is written into it.
        python: the interpreter to run it with, by default this one; it needs PyTorch.

    Raises:
        ConfigError: the folder is not such a checkout, or the published code cannot do what `config` asks for.
        DiamondError: it failed; what it wrote to standard error tells more.
    """

    def __init__(self, source: Path, python: str | None, config: Config, device: str, num_actions: int) -> None:
        if not (source / "src" / "envs" / "world_model_env.py").is_file():
            raise ConfigError(
                f"--reference is {str(source)!r}: give a checkout of the published code "
                "(it holds src/envs/world_model_env.py)"
            )
        if config.env.height != config.env.width:
            raise ConfigError(
                f"env.height is {config.env.height}, env.width {config.env.width}: the published code needs square "
                "frames"
            )
        self._process = subprocess.Popen(
            [python or sys.executable, "-B", str(Path(reference_worker.__file__))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            encoding="utf-8",
        )
        self.facts = self._ask(
            source=str(source.absolute()),
            device=device,
            threads=config.compute.threads,
            num_actions=num_actions,
            config=to_dict(config),
        )

    def rate(self, work: str, seconds: float) -> float:
        """Calls a second of one kind of work, timed for at least `seconds`."""
        return float(self._ask(work=work, seconds=seconds)["rate"])

    def close(self) -> None:
        """End the process."""
        assert self._process.stdin is not None and self._process.stdout is not None
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()

    def _ask(self, **question: Any) -> dict[str, Any]:
        assert self._process.stdin is not None and self._process.stdout is not None
        with contextlib.suppress(BrokenPipeError):  # a process that has ended gives no answer either
            self._process.stdin.write(json.dumps(question) + "\n")
            self._process.stdin.flush()
        line = self._process.stdout.readline()
        answer = json.loads(line) if line else {"error": "its process ended"}
        if "error" in answer:
            self.close()  # it ends by itself, once it has written what it has to say to standard error
            raise DiamondError(f"the published code failed: {answer['error']}")
        return dict(answer)
