"""How fast environments are, ours beside the references' that are installed: ``python -m tony_rl.bench [NAME ...]``.

Steps per CPU-second of one thread, resets included, actions drawn beforehand; the programs take turns, and of each the best turn counts, so
that a busy machine is unfair to none. Without names: the tasks that Gymnasium, Safety-Gymnasium and EnvPool know, too.
"""

from __future__ import annotations

import sys
import time
import warnings
from typing import Callable, Dict, List

import gymnasium
import numpy as np

import tony_rl

#: Actions that are drawn beforehand, and taken again and again.
ACTIONS = 256
#: Environments of a vector.
MANY = 64
#: Turns of each program, and CPU-seconds of a turn, at least.
TURNS, SECONDS = 3, 0.5


def single(env, six: bool = False) -> Callable[[], int]:
    """Episodes of one environment, as many steps as there are actions."""
    env.action_space.seed(0)
    actions = [env.action_space.sample() for _ in range(ACTIONS)]
    env.reset(seed=0)

    def some() -> int:
        for action in actions:
            terminated, truncated = env.step(action)[3 if six else 2 : 5 if six else 4]
            if terminated or truncated:
                env.reset()
        return ACTIONS

    return some


def vector(envs, actions: List[np.ndarray], n: int) -> Callable[[], int]:
    """Steps of many side by side."""
    envs.reset()

    def some() -> int:
        for action in actions:
            envs.step(action)
        return n * len(actions)

    return some


def programs(name: str) -> Dict[str, Callable[[], int]]:
    """Those that know the task, by name."""
    ours = tony_rl.make_vec(name, MANY)
    ours.action_space.seed(0)
    actions = [ours.action_space.sample() for _ in range(ACTIONS)]
    known = {"tony, 64": vector(ours, actions, MANY), "tony, one": single(tony_rl.Env(name))}
    # Safety-Gymnasium puts its own into this registry too, with six values a step.
    if name in gymnasium.registry and not name.startswith("Safety"):
        known["gymnasium"] = single(gymnasium.make(name))
    if name.startswith("Safety"):
        try:
            import safety_gymnasium

            known["safety_gymnasium"] = single(safety_gymnasium.make(name), six=True)
        except ImportError:
            pass
    try:
        import envpool

        if name.replace("-v5", "-v4") in envpool.list_all_envs():
            pool = envpool.make(name.replace("-v5", "-v4"), env_type="gymnasium", num_envs=MANY, num_threads=1)
            dtype = pool.action_space.dtype
            known["envpool, 64"] = vector(pool, [action.astype(dtype) for action in actions], MANY)
    except ImportError:
        pass
    return known


def rate(some: Callable[[], int]) -> float:
    """Steps per CPU-second of a turn. All threads count: EnvPool has its own."""
    steps, begin = 0, time.process_time()
    while time.process_time() - begin < SECONDS:
        steps += some()
    return steps / (time.process_time() - begin)


def main(names: List[str]) -> None:
    """Print a line a task, as soon as it is known."""
    warnings.simplefilter("ignore")
    columns = ["tony, 64", "tony, one", "gymnasium", "safety_gymnasium", "envpool, 64"]
    if not names:
        names = [name for name, family, _ in tony_rl.ENVIRONMENTS if family in ("classic", "locomotion") or name.startswith("Safety")]
    print(f"{'':34}" + "".join(f"{column:>18}" for column in columns) + f"{'tony, 64 / best other':>24}", flush=True)
    for name in names:
        known = programs(name)
        best = {column: 0.0 for column in known}
        for _ in range(TURNS):
            for column, some in known.items():
                best[column] = max(best[column], rate(some))
        others = [best[column] for column in columns[2:] if column in best]
        cells = "".join(f"{best[column]:>18,.0f}" if column in best else f"{'-':>18}" for column in columns)
        ratio = f"{best['tony, 64'] / max(others):>23.1f}x" if others else f"{'-':>24}"
        print(f"{name:34}{cells}{ratio}", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
