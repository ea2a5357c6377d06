"""The compiled half of ``tony_rl``. What a program uses stands in the modules beside it."""

from pathlib import Path
from typing import Any, Callable, Dict, List, Optional, Sequence, Tuple

import numpy as np
from numpy.typing import NDArray

__version__: str
#: Name, family and summary of every environment.
ENVIRONMENTS: List[Tuple[str, str, str]]
#: Name, title and summary of every algorithm.
ALGORITHMS: List[Tuple[str, str, str]]

class Error(Exception):
    """What was asked for cannot be done; the message says what would be."""

class EnvError(Error):
    """An environment written in Python did what none may do; where it raised an exception, that is the cause."""

class Worlds:
    """Environments of one task, stepped side by side."""

    name: str
    obs_dim: int
    actions: Optional[int]
    bounds: Optional[Tuple[List[float], List[float]]]
    costs: List[str]
    max_steps: int
    step_seconds: float

    def __init__(
        self,
        name: str,
        n: int,
        *,
        autoreset: str = "NextStep",
        threads: int = 1,
        draws: bool = False,
        offline: bool = False,
    ) -> None: ...
    def reset(
        self, obs: NDArray[np.float64], seeds: Sequence[Optional[int]], mask: Optional[Sequence[bool]] = None
    ) -> None: ...
    def step(
        self, actions: NDArray[np.float64]
    ) -> Tuple[
        NDArray[np.float64],
        NDArray[np.float64],
        NDArray[np.float64],
        NDArray[np.bool_],
        NDArray[np.bool_],
        Optional[NDArray[np.float64]],
    ]: ...
    def render(self, i: int, width: int, height: int) -> NDArray[np.uint8]: ...
    def save(self, i: int) -> bytes: ...
    def load(self, i: int, state: bytes) -> None: ...

class Policy:
    """A trained policy."""

    run: str
    algorithm: str
    env: str
    steps: int
    obs_dim: int
    discrete: bool
    options: int

    def begin(self, n: int = 1, *, seed: int = 0, option: Optional[int] = None) -> None: ...
    def act(self, obs: NDArray[np.float32], deterministic: bool) -> NDArray[np.float32]: ...
    def evaluate(self, episodes: int = 10, *, seed: int = 0) -> Dict[str, Dict[str, float]]: ...

def train(
    algorithm: str,
    env: str,
    settings: Sequence[Tuple[str, str]],
    *,
    make: Optional[Callable[[], Any]] = None,
    out: Optional[str] = None,
    threads: int = 0,
    offline: bool = False,
    watch: Any,
) -> Policy: ...
def resume(
    run: str,
    *,
    steps: Optional[int] = None,
    make: Optional[Callable[[], Any]] = None,
    threads: int = 0,
    offline: bool = False,
    watch: Any,
) -> Policy: ...
def load(run: str, *, make: Optional[Callable[[], Any]] = None, offline: bool = False) -> Policy: ...
