"""Tony in Python: agents that stay inside limits, and the environments that they learn it in.

Environments, at the speed of their physics::

    import gymnasium, tony_rl
    env = gymnasium.make("tony/SafetyPointGoal1-v0")          # five values a step, the cost in info["cost"]
    env = tony_rl.make("SafetyPointGoal1-v0")                 # six values a step, as in Safety-Gymnasium
    envs = gymnasium.make_vec("tony/SafetyPointGoal1-v0", num_envs=64)

Training, in ours or in yours::

    policy = tony_rl.train("cpo", "SafetyPointGoal1", cost_limit=25)
    policy = tony_rl.train("ppo-lag", lambda: gymnasium.make("MyEnv-v0"), cost_limit=10, steps=200_000)
    action = policy(obs)
"""

from ._tony import ALGORITHMS, ENVIRONMENTS, EnvError, Error, __version__
from .envs import Env, SafetyEnv, VectorEnv, make, make_vec
from .registration import register_all
from .training import Policy, load, resume, train

__all__ = [
    "ALGORITHMS",
    "ENVIRONMENTS",
    "Env",
    "EnvError",
    "Error",
    "Policy",
    "SafetyEnv",
    "VectorEnv",
    "__version__",
    "load",
    "make",
    "make_vec",
    "register_all",
    "resume",
    "train",
]

register_all()
