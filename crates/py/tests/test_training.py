"""Training in Python: in our environments, and in anybody's."""

import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
import unittest
from pathlib import Path

import gymnasium
import numpy as np

import tony_rl

GOAL = "SafetyPointGoal1-v0"
SMALL = dict(steps=2_000, envs=2, steps_per_update=1_000, quiet=True, evaluate=0)


def told(policy):
    """What the records say, without clocks."""
    clocks = ("seconds", "Time/")
    return [{k: v for k, v in line.items() if not k.startswith(clocks)} for line in policy.history()]


class Walk(gymnasium.Env):
    """Walk on a line; a step to the right is paid, and costs beyond 1. `fault` is what goes wrong at step `at`."""

    observation_space = gymnasium.spaces.Box(-10, 10, (2,), np.float64)
    action_space = gymnasium.spaces.Box(-1, 1, (1,), np.float64)

    def __init__(self, fault=None, at=700):
        self.fault, self.at, self.taken = fault, at, 0

    def _obs(self):
        return np.array([self.x, self.t / 20])

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.x, self.t = float(self.np_random.uniform(-0.1, 0.1)), 0
        return self._obs(), {}

    def step(self, action):
        self.taken += 1
        fault = self.fault if self.taken >= self.at else None
        if fault == "raise":
            raise ZeroDivisionError("the floor is gone")
        push = float(action[0])
        if fault == "chance":
            push += float(np.frombuffer(os.urandom(1), np.uint8)[0]) / 1e4
        self.x += 0.1 * push
        self.t += 1
        obs = self._obs()
        if fault == "nan":
            obs[1] = np.nan
        if fault == "shape":
            obs = obs[:1]
        reward = np.inf if fault == "reward" else push
        info = {"cost": float(self.x > 1), "cost_left": float(self.x < -1)}
        return obs, reward, False, self.t == 20, info


class Training(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)

    def out(self, name):
        return self.folder / name

    def test_our_environment_through_python_is_our_environment_bit_for_bit(self):
        for algorithm, name, costs in [("ppo", "CartPole-v1", ()), ("cpo", GOAL, ["cost_hazards"]), ("sac", "Pendulum-v1", ())]:
            small = dict(steps=400, hidden=(16, 16), quiet=True, evaluate=0) if algorithm == "sac" else SMALL
            native = tony_rl.train(algorithm, name, out=self.out(f"{algorithm}-a"), **small)
            make = (lambda: tony_rl.make(name)) if costs else (lambda: gymnasium.make(f"tony/{name}"))
            foreign = tony_rl.train(algorithm, make, costs=costs, out=self.out(f"{algorithm}-b"), **small)
            self.assertEqual(told(native), told(foreign), algorithm)
            obs = np.linspace(-1, 1, native._policy.obs_dim)
            np.testing.assert_array_equal(native(obs), foreign(obs))

    def test_a_resumed_run_is_the_unbroken_one(self):
        whole = tony_rl.train("trpo-lag", Walk, out=self.out("whole"), **dict(SMALL, steps=4_000))
        tony_rl.train("trpo-lag", Walk, out=self.out("parts"), **SMALL)
        parts = tony_rl.resume(self.out("parts"), Walk, steps=4_000, quiet=True, evaluate=0)
        self.assertEqual(told(whole), told(parts))

    def test_an_interrupt_commits_and_resuming_goes_on(self):
        whole = tony_rl.train("ppo", Walk, out=self.out("whole"), **dict(SMALL, steps=12_000))
        # A program that was started in the background may have been told to ignore it.
        self.addCleanup(signal.signal, signal.SIGINT, signal.signal(signal.SIGINT, signal.default_int_handler))
        timer = threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT))
        timer.start()
        with self.assertRaises(KeyboardInterrupt):
            tony_rl.train("ppo", Slow, out=self.out("parts"), **dict(SMALL, steps=12_000))
        timer.join()
        done = tony_rl.load(self.out("parts"), Slow)
        self.assertGreaterEqual(done.steps, 1_000)
        self.assertLess(done.steps, 12_000)
        parts = tony_rl.resume(self.out("parts"), Walk, quiet=True, evaluate=0)
        self.assertEqual(told(whole), told(parts))

    def test_a_killed_program_loses_nothing_that_was_committed(self):
        code = (
            "import sys; sys.path.insert(0, sys.argv[1])\n"
            "import tony_rl, test_training as t\n"
            "tony_rl.train('ppo', t.Slow, out=sys.argv[2], **dict(t.SMALL, steps=12_000, checkpoint_seconds=0))"
        )
        child = subprocess.Popen([sys.executable, "-c", code, str(Path(__file__).parent), str(self.out("parts"))])
        records = self.out("parts") / "checkpoints"
        deadline = time.monotonic() + 60
        while not (records.exists() and any(records.iterdir())) and time.monotonic() < deadline:
            time.sleep(0.01)
        child.kill()
        child.wait()
        whole = tony_rl.train("ppo", Walk, out=self.out("whole"), **dict(SMALL, steps=12_000, checkpoint_seconds=0))
        parts = tony_rl.resume(self.out("parts"), Walk, quiet=True, evaluate=0)
        self.assertEqual(told(whole), told(parts))

    def test_a_policy_takes_and_gives_arrays(self):
        policy = tony_rl.train("ppo", "CartPole", out=self.out("p"), **SMALL)
        self.assertIsInstance(policy(np.zeros(4)), int)
        self.assertEqual(policy(np.zeros((3, 4))).dtype, np.int64)
        self.assertEqual(policy.predict(np.zeros((3, 4)), deterministic=True)[0].tolist(), policy(np.zeros((3, 4))).tolist())
        drawn = {policy(np.zeros(4), deterministic=False) for _ in range(100)}
        self.assertEqual(drawn, {0, 1})
        policy.begin(seed=1)
        first = [policy(np.zeros(4), deterministic=False) for _ in range(20)]
        policy.begin(seed=1)
        self.assertEqual(first, [policy(np.zeros(4), deterministic=False) for _ in range(20)])
        again = tony_rl.load(policy.run)
        obs = np.random.default_rng(0).normal(size=(50, 4))
        np.testing.assert_array_equal(policy(obs), again(obs))
        self.assertEqual((again.algorithm, again.env, again.steps), ("ppo", "CartPole-v1", 2_000))
        with self.assertRaisesRegex(tony_rl.Error, "4 numbers, not 5"):
            policy(np.zeros((1, 5)))
        self.assertEqual(policy.evaluate(3)["length"]["n"], 3)

    def test_a_finished_training_says_what_it_is_worth_and_keeps_the_limit(self):
        policy = tony_rl.train("cpo", Walk, costs=["cost_left"], out=self.out("p"), cost_limit=2, **dict(SMALL, steps=20_000, evaluate=5))
        self.assertEqual(list(policy.final), ["return", "left", "cost", "length"])
        self.assertEqual(policy.final["length"]["mean"], 20)
        self.assertGreater(policy.final["return"]["mean"], 5)
        # Drawn actions are what the limit is about.
        self.assertLess(policy.history()[-1]["Metrics/EpCost"], 4)

    def test_faults_of_an_environment_are_named_and_what_was_committed_stays(self):
        faults = [
            ("raise", "Walk, step .* of the episode with seed .*the floor is gone"),
            ("nan", "number 1 of the observation is not finite"),
            ("shape", r"shape \(1,\).*\(2,\)"),
            ("reward", "the reward is not finite"),
        ]
        for fault, text in faults:
            out = self.out(fault)
            with self.assertRaisesRegex(tony_rl.EnvError, text) as caught:
                tony_rl.train("ppo", lambda: Walk(fault), out=out, **dict(SMALL, checkpoint_seconds=0))
            if fault == "raise":
                self.assertIsInstance(caught.exception.__cause__, ZeroDivisionError)
            self.assertEqual(tony_rl.load(out, Walk).steps, 1_000)
            self.assertEqual(tony_rl.resume(out, Walk, quiet=True, evaluate=0).steps, 2_000)

    def test_an_environment_that_its_seed_does_not_decide_is_found_at_resuming(self):
        out = self.out("chance")
        tony_rl.train("ppo", lambda: Walk("chance", at=0), out=out, **dict(SMALL, steps_per_update=1_010, steps=1_010))
        with self.assertRaisesRegex(tony_rl.Error, "led to another observation"):
            tony_rl.resume(out, lambda: Walk("chance", at=0), steps=4_040, quiet=True)

    def test_what_cannot_be_trained_is_refused_before_anything_is_written(self):
        class Pixels(Walk):
            observation_space = gymnasium.spaces.Dict({"eye": gymnasium.spaces.Box(0, 1, (2,))})

        class Four(Walk):
            def step(self, action):
                return super().step(action)[:4]

        class Many(Walk):
            action_space = gymnasium.spaces.MultiDiscrete([2, 2])

        class Free(Walk):
            action_space = gymnasium.spaces.Box(-np.inf, np.inf, (1,), np.float64)

        class NoCost(Walk):
            def step(self, action):
                return (*super().step(action)[:4], {})

        cases = [
            ("ppo", Pixels, {}, "observations are a Box.*\n.*FlattenObservation"),
            ("ppo", Four, {}, "returns 4 values"),
            ("ppo", Many, {}, "actions are a Box or Discrete"),
            ("sac", Free, {}, "needs bounds on every action"),
            ("cpo", NoCost, {}, "has no costs"),
            ("ppo", Walk, {"costs": ["cost_right"]}, "no `cost_right`; it has cost, cost_left"),
            ("cpo", Walk, {"cost_limt": 3}, "cost_limt"),
            ("cpo", Walk, {"cost_limit": "much"}, "much"),
            ("cpoo", Walk, {}, "cpoo.*did you mean `cpo`"),
            ("ppo", Walk(), {}, "function that makes one"),
            ("ppo", "SafetyPointGaol1", {}, "SafetyPointGoal1-v0"),
        ]
        for algorithm, env, more, text in cases:
            with self.subTest(text):
                with self.assertRaisesRegex(tony_rl.Error, text):
                    tony_rl.train(algorithm, env, out=self.out("never"), quiet=True, **more)
                self.assertFalse(self.out("never").exists())

    def test_a_run_of_python_and_one_of_ours_are_not_mistaken(self):
        ours = tony_rl.train("ppo", "CartPole", out=self.out("ours"), **SMALL)
        yours = tony_rl.train("ppo", Walk, out=self.out("yours"), **SMALL)
        with self.assertRaisesRegex(tony_rl.Error, "only a Python program can make"):
            tony_rl.load(yours.run)
        with self.assertRaisesRegex(tony_rl.Error, "leave the second argument out"):
            tony_rl.load(ours.run, Walk)

    def test_settings_with_dots_have_names_that_python_can_write(self):
        more = dict(SMALL, steps_per_update=500)
        policy = tony_rl.train("cpo", Walk, costs=["cost_left"], out=self.out("p"), cost_limit_left=3, settings={"cost.limit": 7}, hidden=(8, 8), **more)
        plan = (policy.run / "plan.toml").read_text()
        for setting in ('"cost.limit"', '"cost.limit.left"', '"steps_per_update"', '"hidden"'):
            self.assertIn(setting, plan)


class Slow(Walk):
    """So slow that it can be interrupted."""

    def step(self, action):
        time.sleep(2e-4)
        return super().step(action)


# The slow one is the same environment.
Slow.__name__ = "Walk"

if __name__ == "__main__":
    unittest.main()
