"""Our environments as Gymnasium's: one (:class:`Env`), one with Safety-Gymnasium's six values (:class:`SafetyEnv`), many
(:class:`VectorEnv`).

Observations are ``float64`` rows, costs named channels: ``info["cost"]`` is the total, ``info["cost_hazards"]`` and so on its parts.
An episode is a function of its seed alone; on the tasks of Safety-Gymnasium a seed gives the reference's own layout.
"""

from __future__ import annotations

import secrets
from typing import Any, Optional, Sequence, Union

import gymnasium
import numpy as np
from gymnasium import spaces
from gymnasium.error import ResetNeeded

from ._tony import Error, Worlds

try:  # Gymnasium 1.1 and later
    from gymnasium.vector import AutoresetMode
except ImportError:
    AutoresetMode = None

__all__ = ["Env", "SafetyEnv", "VectorEnv", "make", "make_vec"]


def _spaces(worlds: Worlds) -> tuple:
    obs = spaces.Box(-np.inf, np.inf, (worlds.obs_dim,), np.float64)
    if worlds.bounds is None:
        return obs, spaces.Discrete(worlds.actions)
    low, high = (np.array(bound) for bound in worlds.bounds)
    return obs, spaces.Box(low, high, dtype=np.float64)


def _check_render_mode(mode: Optional[str]) -> None:
    if mode not in (None, "rgb_array"):
        raise Error(f"there is no render_mode `{mode}`\ntry: render_mode=\"rgb_array\", or tony play, whose page can be walked round")


def _name(name: Optional[str], world: Optional[str]) -> str:
    if (name is None) == (world is None):
        raise Error("an environment is made from its name, or from the file of a world\ntry: name=\"SafetyPointGoal1\" or world=\"my_world.toml\"")
    return str(world if name is None else name)


class Env(gymnasium.Env):
    """One of Tony's environments, five values a step; costs are in ``info``.

    Args:
        name: its name; the version may be left out. :data:`tony_rl.ENVIRONMENTS` has all of them.
        world: instead of a name, the path of a world's TOML file.
        render_mode: ``"rgb_array"`` has :meth:`render` give pictures, by the processor alone; there is no window. ``tony play`` makes
            a page, in which an episode can be walked round.
        width, height: of pictures, in pixels.
    """

    metadata = {"render_modes": ["rgb_array"], "render_fps": 50}

    def __init__(
        self,
        name: Optional[str] = None,
        *,
        world: Optional[str] = None,
        render_mode: Optional[str] = None,
        width: int = 480,
        height: int = 480,
    ):
        _check_render_mode(render_mode)
        self.render_mode = render_mode
        self._size = (width, height)
        self._worlds = Worlds(_name(name, world), 1, autoreset="Disabled", draws=render_mode is not None)
        self.metadata = {**type(self).metadata, "render_fps": max(1, round(1 / self._worlds.step_seconds))}
        self.observation_space, self.action_space = _spaces(self._worlds)
        #: Names of the cost channels; where there are any, the last is the total, ``cost``.
        self.costs: tuple = tuple(self._worlds.costs)
        #: Steps after which an episode is truncated.
        self.max_episode_steps: int = self._worlds.max_steps
        self._keys = tuple(name if name == "cost" else f"cost_{name}" for name in self.costs)
        self._obs = np.zeros((1, self._worlds.obs_dim))
        self._running = False

    def reset(self, *, seed: Optional[int] = None, options: Optional[dict] = None):
        """Begin an episode: that of ``seed``, or the next one that follows from the last seed that was named."""
        first = self._np_random is None
        super().reset(seed=seed)
        if first and seed is None:
            seed = int(self.np_random.integers(2**32))
        self._worlds.reset(self._obs, [None if seed is None else int(seed)])
        self._running = True
        return self._obs[0].copy(), {}

    def step(self, action):
        """Take an action; one outside the bounds is clipped to them."""
        obs, reward, costs, terminated, truncated = self._step(action)
        return obs, reward, terminated, truncated, dict(zip(self._keys, costs))

    def _step(self, action):
        if not self._running:
            raise ResetNeeded(f"{self._worlds.name}: the episode is over, or none was begun\ntry: env.reset()")
        action = np.asarray(action, np.float64)
        if action.shape != self.action_space.shape:
            raise Error(f"{self._worlds.name}: an action has shape {self.action_space.shape}, not {action.shape}")
        obs, rewards, costs, terminated, truncated, _ = self._worlds.step(action.reshape(1, -1))
        terminated, truncated = bool(terminated[0]), bool(truncated[0])
        self._running = not (terminated or truncated)
        return obs[0], float(rewards[0]), costs[0].tolist(), terminated, truncated

    def render(self) -> Optional[np.ndarray]:
        """A picture of the present state, ``[height, width, 3]``; None without a render mode."""
        return None if self.render_mode is None else self._worlds.render(0, *self._size)

    def save(self) -> bytes:
        """Everything that the future depends on, without the random generator of :attr:`np_random`, which draws nothing here."""
        return self._worlds.save(0)

    def load(self, state: bytes) -> None:
        """Go on exactly from what :meth:`save` gave."""
        self._worlds.load(0, state)
        self._running = state[:1] == b"\0"


class SafetyEnv(Env):
    """One of Tony's environments with Safety-Gymnasium's step: observation, reward, *cost*, terminated, truncated, info."""

    def step(self, action):
        """Take an action; one outside the bounds is clipped to them."""
        obs, reward, costs, terminated, truncated = self._step(action)
        info = dict(zip(self._keys, costs))
        return obs, reward, info.get("cost", 0.0), terminated, truncated, info


class VectorEnv(gymnasium.vector.VectorEnv):
    """Many environments of one task, stepped side by side by compiled code, without Python in between.

    Args:
        name: its name; the version may be left out.
        num_envs: how many.
        world: instead of a name, the path of a world's TOML file.
        autoreset_mode: what happens at the end of an episode, by Gymnasium's ``AutoresetMode`` or its value. ``NEXT_STEP``: the next
            step resets; ``SAME_STEP``: the same step resets, and ``info["final_obs"]`` has the last observation;
            ``DISABLED``: ``reset(options={"reset_mask": mask})`` resets.
        threads: how many threads step them; 0: one a core. No bit depends on it.
        render_mode, width, height: as of :class:`Env`.

    Costs are arrays in ``info``: ``info["cost"]``, ``info["cost_hazards"]``, ...
    """

    def __init__(
        self,
        name: Optional[str] = None,
        num_envs: int = 1,
        *,
        world: Optional[str] = None,
        autoreset_mode: Any = "NextStep",
        threads: int = 1,
        render_mode: Optional[str] = None,
        width: int = 480,
        height: int = 480,
    ):
        _check_render_mode(render_mode)
        mode = getattr(autoreset_mode, "value", autoreset_mode)
        self._worlds = Worlds(
            _name(name, world), num_envs, autoreset=mode, threads=threads, draws=render_mode is not None
        )
        self.num_envs = num_envs
        self.render_mode = render_mode
        self._size = (width, height)
        self.metadata = {**Env.metadata, "autoreset_mode": mode if AutoresetMode is None else AutoresetMode(mode)}
        self.single_observation_space, self.single_action_space = _spaces(self._worlds)
        self.observation_space = gymnasium.vector.utils.batch_space(self.single_observation_space, num_envs)
        self.action_space = gymnasium.vector.utils.batch_space(self.single_action_space, num_envs)
        self.costs: tuple = tuple(self._worlds.costs)
        self._keys = tuple(name if name == "cost" else f"cost_{name}" for name in self.costs)
        self._all = np.ones(num_envs, np.bool_)
        self._seeded = False
        #: The last observations, of which a masked reset keeps some.
        self._obs = np.zeros((num_envs, self._worlds.obs_dim))
        self._masked = mode == "Disabled"
        self._rows = (num_envs, -1)

    def reset(
        self,
        *,
        seed: Union[int, Sequence[Optional[int]], None] = None,
        options: Optional[dict] = None,
    ):
        """Begin an episode in each, or where ``options["reset_mask"]`` is true.

        ``seed``: an int gives environment i ``seed + i``, a list names each; None: the next episode that follows from the last seed.
        """
        if seed is None:
            seeds = [None if self._seeded else secrets.randbits(32) for _ in range(self.num_envs)]
        elif isinstance(seed, (int, np.integer)):
            seeds = [int(seed) + i for i in range(self.num_envs)]
        else:
            seeds = [None if one is None else int(one) for one in seed]
            if len(seeds) != self.num_envs:
                raise Error(f"{len(seeds)} seeds for {self.num_envs} environments\ntry: seed=0, which gives each its own")
        mask = None if options is None else options.get("reset_mask")
        if mask is not None:
            mask = np.asarray(mask)
            if mask.shape != (self.num_envs,) or mask.dtype != np.bool_ or not mask.any():
                raise Error(f"reset_mask is an array of {self.num_envs} bools, at least one of them true")
            mask = mask.tolist()
        obs = self._obs.copy()
        self._worlds.reset(obs, seeds, mask)
        self._seeded = True
        self._obs = obs.copy()
        return obs, {}

    def step(self, actions):
        """One step of each. Nothing is stepped if an action is not one; actions outside the bounds are clipped to them."""
        actions = np.asarray(actions, np.float64)
        obs, rewards, costs, terminated, truncated, last = self._worlds.step(actions.reshape(self._rows))
        if self._masked:
            self._obs = obs.copy()
        info: dict = {}
        for channel, key in enumerate(self._keys):
            info[key] = costs[:, channel]
            info["_" + key] = self._all
        if last is not None:
            over = terminated | truncated
            if over.any():
                final = np.full(self.num_envs, None, object)
                for i in np.flatnonzero(over):
                    final[i] = last[i]
                info.update(final_obs=final, _final_obs=over, final_info={key: info[key] for key in self._keys}, _final_info=over)
        return obs, rewards, terminated, truncated, info

    def render(self) -> Optional[tuple]:
        """A picture of each, ``[height, width, 3]``; None without a render mode."""
        if self.render_mode is None:
            return None
        return tuple(self._worlds.render(i, *self._size) for i in range(self.num_envs))

    def save(self, index: int) -> bytes:
        """Everything that the future of environment ``index`` depends on."""
        return self._worlds.save(index)

    def load(self, index: int, state: bytes) -> None:
        """Environment ``index`` goes on exactly from what :meth:`save` gave."""
        self._worlds.load(index, state)


def make(name: str, **kwargs: Any) -> SafetyEnv:
    """An environment with Safety-Gymnasium's six values a step: ``safety_gymnasium.make``, at the speed of the physics.

    ``name`` may be the path of a world's TOML file.
    """
    return SafetyEnv(name, **kwargs)


def make_vec(name: str, num_envs: int = 1, **kwargs: Any) -> VectorEnv:
    """``num_envs`` environments side by side: see :class:`VectorEnv`."""
    return VectorEnv(name, num_envs, **kwargs)
