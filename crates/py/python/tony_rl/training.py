"""Training, and the policies that come of it."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any, Callable, Dict, List, Optional, Sequence, Union

import numpy as np

from . import _tony
from .adapter import Adapter, adapters
from .progress import Bar, Silent

__all__ = ["Policy", "load", "resume", "train"]

EnvSource = Union[str, os.PathLike, Callable[[], Any]]


def train(
    algorithm: str,
    env: EnvSource,
    *,
    steps: Optional[int] = None,
    seed: Optional[int] = None,
    envs: Optional[int] = None,
    costs: Sequence[str] = (),
    out: Union[str, os.PathLike, None] = None,
    threads: int = 0,
    quiet: bool = False,
    evaluate: int = 10,
    settings: Optional[Dict[str, Any]] = None,
    **more: Any,
) -> "Policy":
    """Train an agent; a bar shows how it goes, a run folder keeps everything.

    Args:
        algorithm: ``"cpo"``, ``"ppo-lag"``, ``"sac"``, ...: :data:`tony_rl.ALGORITHMS` has all of them.
        env: the name of one of Tony's environments, the path of a world's TOML file, or a function without arguments that makes a
            Gymnasium environment. Of such a one the cost is the third of six values of its step (Safety-Gymnasium) or
            ``info["cost"]``.
        steps: environment steps in all.
        seed: everything random follows from it.
        envs: environments to collect from; a part of the experiment.
        costs: keys of ``info`` that are cost channels besides the total, of an environment of yours.
        out: run folder to make; otherwise the next free ``runs/ALGO-ENV-NNNN``.
        threads: 0: one a core. Results do not depend on it.
        quiet: show nothing.
        evaluate: fresh episodes to measure the finished policy in, in :attr:`Policy.final`.
        settings: by their full names, as ``{"cost.limit.hazards": 20}``. ``tony list algos cpo`` shows every one.
        more: settings by names that Python can write, as ``cost_limit=25``, ``hidden=(64, 64)``.

    Ctrl-C ends the update that is under way, commits it, and raises; :func:`resume` goes on, bit for bit.

    Raises:
        Error: what was asked for cannot be done; nothing was trained.
        EnvError: an environment of yours raised, or returned what none may; what was committed is kept.
    """
    asked = {"steps": steps, "seed": seed, "envs": envs, **(settings or {}), **more}
    words = [(key, _text(value)) for key, value in asked.items() if value is not None]
    name, make = _source(env, costs)
    watch = Silent() if quiet else Bar()
    out = None if out is None else os.fspath(out)
    policy = _tony.train(algorithm, name, words, make=make, out=out, threads=threads, watch=watch)
    return _measured(policy, evaluate, watch)


def resume(
    run: Union[str, os.PathLike],
    env: Optional[Callable[[], Any]] = None,
    *,
    steps: Optional[int] = None,
    costs: Sequence[str] = (),
    threads: int = 0,
    quiet: bool = False,
    evaluate: int = 10,
) -> "Policy":
    """Go on with a run, bit for bit as if it had never stopped; with ``steps``, to so many in all.

    A run in an environment of yours needs ``env``, the function that makes it. Its episode is taken up by its seed and its actions, so
    it must do the same again for the same seed.
    """
    make = None if env is None else adapters(env, costs)
    watch = Silent() if quiet else Bar()
    policy = _tony.resume(os.fspath(run), steps=steps, make=make, threads=threads, watch=watch)
    return _measured(policy, evaluate, watch)


def load(run: Union[str, os.PathLike], env: Optional[Callable[[], Any]] = None, *, costs: Sequence[str] = ()) -> "Policy":
    """The newest policy of a run; one in an environment of yours needs ``env``, the function that makes it."""
    return Policy(_tony.load(os.fspath(run), make=None if env is None else adapters(env, costs)))


class Policy:
    """A trained policy: NumPy in, NumPy out.

    >>> policy = tony_rl.train("cpo", "SafetyPointGoal1")   # doctest: +SKIP
    >>> action = policy(obs)                                # doctest: +SKIP
    """

    def __init__(self, policy: Any):
        self._policy = policy
        #: Return, costs and length of fresh episodes after training, each as mean, interval and number of episodes.
        self.final: Optional[Dict[str, Dict[str, float]]] = None

    def __call__(self, obs: Any, *, deterministic: bool = True) -> Any:
        """The action for an observation, or for each row of a batch: the most likely one, or one that is drawn.

        Actions are ``float32``, or indices (``int``, or an array of them) where they are discrete. Policies that carry something from
        step to step, as options, begin episodes with :meth:`begin`.
        """
        obs = np.asarray(obs, np.float32)
        alone = obs.size == self._policy.obs_dim and obs.ndim <= 1 or obs.ndim == 0
        rows = obs.reshape(1, -1) if alone else obs.reshape(len(obs), -1)
        actions = self._policy.act(np.ascontiguousarray(rows), deterministic)
        if self._policy.discrete:
            actions = actions[:, 0].astype(np.int64)
            return int(actions[0]) if alone else actions
        return actions[0] if alone else actions

    def predict(self, obs: Any, state: Any = None, episode_start: Any = None, deterministic: bool = False) -> tuple:
        """As Stable-Baselines3 calls it."""
        return self(obs, deterministic=deterministic), state

    def begin(self, n: int = 1, *, seed: int = 0, option: Optional[int] = None) -> None:
        """Begin ``n`` episodes side by side: the random numbers of drawn actions, and the option that is followed."""
        self._policy.begin(n, seed=seed, option=option)

    def evaluate(self, episodes: int = 10, *, seed: int = 0) -> Dict[str, Dict[str, float]]:
        """Return, costs and length of fresh episodes of the deterministic policy: mean, 95 % bootstrap interval, n."""
        return self._policy.evaluate(episodes, seed=seed)

    @property
    def run(self) -> Path:
        """The run folder; ``tony compare``, ``tony play`` and ``tony resume`` know it."""
        return Path(self._policy.run)

    @property
    def algorithm(self) -> str:
        """The algorithm that trained it."""
        return self._policy.algorithm

    @property
    def env(self) -> str:
        """The environment that it was trained in."""
        return self._policy.env

    @property
    def steps(self) -> int:
        """Environment steps that it was trained for."""
        return self._policy.steps

    @property
    def options(self) -> int:
        """How many options it has; 0: none."""
        return self._policy.options

    def history(self) -> List[Dict[str, Optional[float]]]:
        """One dictionary an update: ``Metrics/EpRet``, ``Metrics/EpCost``, ``Train/KL``, ..."""
        with open(self.run / "metrics.jsonl", encoding="utf-8") as lines:
            return [json.loads(line) for line in lines if line.endswith("\n")]

    def __repr__(self) -> str:
        return f"<{self.algorithm} policy for {self.env}, {self.steps:,} steps, {self.run}>"


def _measured(policy: Any, episodes: int, watch: Any) -> Policy:
    policy = Policy(policy)
    if episodes > 0:
        policy.final = policy.evaluate(episodes)
    watch.end(policy)
    return policy


def _source(env: EnvSource, costs: Sequence[str]) -> tuple:
    """The name of an environment, and what makes adapters of it where it is not ours."""
    if isinstance(env, (str, os.PathLike)):
        name = os.fspath(env)
        return name[len("tony/") :] if name.startswith("tony/") else name, None
    if not callable(env):
        raise _tony.Error(
            f"an environment is a name or a function that makes one, and this is a {type(env).__name__}\ntry: lambda: gymnasium.make(...)"
        )
    make = adapters(env, costs)
    first: List[Adapter] = [make()]
    return first[0].name, lambda: first.pop() if first else make()


def _text(value: Any) -> str:
    if value is True or value is False:
        return str(value).lower()
    if isinstance(value, (list, tuple)):
        return ",".join(map(_text, value))
    return str(value)
