"""Our environments in Gymnasium's registry."""

import gymnasium

from ._tony import ENVIRONMENTS

#: A world of your own: ``gymnasium.make("tony/World-v0", world="my_world.toml")``.
WORLD = "tony/World-v0"


def register_all() -> None:
    """Register every environment as ``tony/NAME``, and worlds of your own as ``tony/World-v0``."""
    for name, _, _ in ENVIRONMENTS:
        # Gymnasium knows names of letters, digits and `_:.-`; the version comes last, where there is one.
        _register(f"tony/{name}", {"name": name})
    _register(WORLD, {})


def _register(identifier: str, kwargs: dict) -> None:
    if identifier in gymnasium.registry:
        return
    gymnasium.register(
        id=identifier,
        entry_point="tony_rl.envs:Env",
        vector_entry_point="tony_rl.envs:VectorEnv",
        # The environment keeps these two laws itself.
        order_enforce=False,
        disable_env_checker=True,
        kwargs=kwargs,
    )
