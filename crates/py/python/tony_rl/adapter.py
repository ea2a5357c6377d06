"""A Gymnasium environment as Tony's algorithms see one: flat rows, costs, and errors that say what is wrong."""

from __future__ import annotations

from typing import Any, Callable, Sequence

import numpy as np
from gymnasium import spaces

from ._tony import EnvError

#: Steps of an episode that nothing limits.
UNLIMITED = 2**62


class Adapter:
    """One environment. The compiled half reads :attr:`obs` and :attr:`cost_row` after each call.

    Costs: the third value of a step with six values, as in Safety-Gymnasium, or ``info["cost"]``; with ``costs``, more channels from
    ``info`` by their keys.
    """

    def __init__(self, env: Any, costs: Sequence[str] = ()):
        self.env = env
        spec = getattr(env, "spec", None)
        self.name: str = getattr(spec, "id", None) or type(getattr(env, "unwrapped", env)).__name__
        self.max_steps: int = getattr(spec, "max_episode_steps", None) or UNLIMITED
        self._shape = _shape(env.observation_space, self.name)
        self.obs_dim = int(np.prod(self._shape))
        self.obs = np.zeros(self.obs_dim)
        self.low = self.high = self.n = None
        self._actions(env.action_space)
        self._keys = tuple(costs)
        self._total = self._probe()
        self.costs = [key[5:] if key.startswith("cost_") else key for key in self._keys]
        if self._total is not None:
            self.costs.append("cost")
        self.cost_row = np.zeros(len(self.costs))

    def _actions(self, space: Any) -> None:
        if isinstance(space, spaces.Discrete):
            self.n, start = int(space.n), int(space.start)
            self._action = lambda row: int(row[0]) + start
        elif isinstance(space, spaces.Box):
            self.low, self.high = (bound.astype(np.float64).ravel().tolist() for bound in (space.low, space.high))
            shape, dtype = space.shape, space.dtype
            self._action = lambda row: row.reshape(shape).astype(dtype)
        else:
            raise EnvError(
                f"{self.name}: the action space is {space}, and actions are a Box or Discrete\ntry: gymnasium.wrappers.TransformAction"
            )

    def _probe(self) -> Any:
        """Take one step, to see where the cost is: ``"step"``, ``"info"``, or None."""
        self.env.reset(seed=0)
        self.env.action_space.seed(0)
        answer = self.env.step(self.env.action_space.sample())
        if len(answer) not in (5, 6):
            raise EnvError(
                f"{self.name}: step returns {len(answer)} values; Gymnasium's has 5 and Safety-Gymnasium's 6\n"
                "try: gymnasium.utils.env_checker.check_env"
            )
        info = answer[-1]
        missing = [key for key in self._keys if key not in info]
        if missing:
            raise EnvError(f"{self.name}: info has no `{missing[0]}`; it has {', '.join(map(str, info)) or 'nothing'}")
        return "step" if len(answer) == 6 else "info" if "cost" in info else None

    def reset(self, seed: int) -> None:
        """Begin the episode of ``seed``."""
        obs, _ = self.env.reset(seed=seed)
        self._observe(obs)

    def step(self, row: np.ndarray) -> tuple:
        """Take an action; the reward, terminated, truncated."""
        answer = self.env.step(self._action(row))
        if self._total == "step":
            obs, reward, cost, terminated, truncated, info = answer
        else:
            obs, reward, terminated, truncated, info = answer
            cost = info["cost"] if self._total else 0.0
        for channel, key in enumerate(self._keys):
            self.cost_row[channel] = info[key]
        if self._total is not None:
            self.cost_row[-1] = cost
        self._observe(obs)
        return float(reward), bool(terminated), bool(truncated)

    def _observe(self, obs: Any) -> None:
        obs = np.asarray(obs)
        if obs.shape != self._shape:
            raise EnvError(f"the observation has shape {obs.shape}, and the observation space says {self._shape}")
        self.obs[:] = obs.ravel()


def _shape(space: Any, name: str) -> tuple:
    if isinstance(space, spaces.Box):
        return tuple(space.shape)
    raise EnvError(
        f"{name}: the observation space is {space}, and observations are a Box\ntry: gymnasium.wrappers.FlattenObservation"
    )


def adapters(make_env: Callable[[], Any], costs: Sequence[str]) -> Callable[[], Adapter]:
    """What makes adapters of the environments that ``make_env`` makes."""
    return lambda: Adapter(make_env(), costs)
