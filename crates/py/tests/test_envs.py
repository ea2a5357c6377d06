"""Environments of tony_rl, as Gymnasium and Safety-Gymnasium define them."""

import unittest
import warnings

import gymnasium
import numpy as np
from gymnasium.error import ResetNeeded
from gymnasium.utils.env_checker import check_env

import tony_rl

GOAL = "SafetyPointGoal1-v0"
#: One of each kind of task, and each kind of action.
SOME = ["CartPole-v1", "Pendulum-v1", "HalfCheetah-v5", GOAL, "SafetyAntVelocity-v1", "Safexp-CarPush2-v0", "AntGather-v0", "NoisyTV-v0"]


def actions(envs, steps, seed=0):
    """Random actions for each of `steps` steps."""
    envs.action_space.seed(seed)
    return [envs.action_space.sample() for _ in range(steps)]


class Single(unittest.TestCase):
    def test_gymnasiums_own_check_passes(self):
        for name in SOME:
            with self.subTest(name), warnings.catch_warnings():
                # Observations without bounds, and actions of the size that they have, are the references'.
                warnings.filterwarnings("ignore", message=".*(infinity|symmetric).*")
                check_env(gymnasium.make(f"tony/{name}").unwrapped)

    def test_every_environment_is_registered(self):
        for name, _, _ in tony_rl.ENVIRONMENTS:
            self.assertIn(f"tony/{name}", gymnasium.registry)

    def test_classic_tasks_are_gymnasiums_from_the_same_seed(self):
        for name in ["CartPole-v1", "MountainCar-v0", "MountainCarContinuous-v0", "Pendulum-v1", "Acrobot-v1"]:
            ours, theirs = gymnasium.make(f"tony/{name}"), gymnasium.make(name)
            (a, _), (b, _) = ours.reset(seed=5), theirs.reset(seed=5)
            for action in [None, *actions(theirs, 20)]:
                if action is not None:
                    a, reward, ended, *_ = ours.step(action)
                    b, expected, same, *_ = theirs.step(action)
                    self.assertAlmostEqual(reward, float(expected), places=6, msg=name)
                    self.assertEqual(ended, same)
                # Theirs are float32.
                np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6, err_msg=name)
                if action is not None and ended:
                    break

    def test_six_values_are_safety_gymnasiums_and_five_are_gymnasiums(self):
        six, five = tony_rl.make("SafetyPointButton2"), gymnasium.make("tony/SafetyPointButton2-v0")
        np.testing.assert_array_equal(six.reset(seed=4)[0], five.reset(seed=4)[0])
        total = 0.0
        for action in actions(five, 300):
            obs, reward, cost, terminated, truncated, info = six.step(action)
            same, expected, *_, other = five.step(action)
            np.testing.assert_array_equal(obs, same)
            self.assertEqual((reward, cost, info), (expected, other["cost"], other))
            self.assertEqual((terminated, truncated), (False, False))
            total += cost
        self.assertEqual(six.costs[-1], "cost")
        self.assertGreater(total, 0)

    def test_an_episode_is_a_function_of_its_seed_and_the_next_follows_from_it(self):
        a, b = tony_rl.make(GOAL), tony_rl.make(GOAL)
        b.reset(seed=9)
        for env in (a, b):
            env.reset(seed=4)
        (x, _), (y, _) = a.reset(), b.reset()
        np.testing.assert_array_equal(x, y)
        self.assertFalse(np.array_equal(x, a.reset(seed=4)[0]))
        # Without any seed no two programs see the same.
        self.assertFalse(np.array_equal(tony_rl.make(GOAL).reset()[0], tony_rl.make(GOAL).reset()[0]))

    def test_pictures_show_what_happens(self):
        for name in ("CartPole-v1", GOAL):
            env = gymnasium.make(f"tony/{name}", render_mode="rgb_array", width=64, height=48)
            with warnings.catch_warnings():
                warnings.filterwarnings("ignore", message=".*(infinity|symmetric).*")
                check_env(env.unwrapped)
            env.reset(seed=0)
            first = env.render()
            self.assertEqual((first.shape, first.dtype), ((48, 64, 3), np.uint8))
            np.testing.assert_array_equal(first, env.render())
            for action in actions(env, 8):
                env.step(action)
            self.assertGreater((env.render() != first).sum(), 10)
        self.assertIsNone(tony_rl.make(GOAL).render())
        with self.assertRaisesRegex(tony_rl.Error, "before an episode"):
            tony_rl.make(GOAL, render_mode="rgb_array").render()
        envs = tony_rl.make_vec("CartPole-v1", 2, render_mode="rgb_array", width=32, height=32)
        envs.reset(seed=0)
        self.assertEqual([picture.shape for picture in envs.render()], [(32, 32, 3)] * 2)

    def test_a_saved_state_goes_on_exactly(self):
        env = tony_rl.make(GOAL)
        env.reset(seed=1)
        for action in actions(env, 50):
            env.step(action)
        state = env.save()
        other = tony_rl.make(GOAL)
        other.load(state)
        for action in actions(env, 50, seed=1):
            a, b = env.step(action), other.step(action)
            np.testing.assert_array_equal(a[0], b[0])
            self.assertEqual(a[1:], b[1:])
        with self.assertRaisesRegex(tony_rl.Error, "no saved state"):
            other.load(b"")
        with self.assertRaisesRegex(tony_rl.Error, "saved state"):
            other.load(state[:-5])

    def test_what_is_wrong_is_named_and_nothing_is_stepped(self):
        with self.assertRaisesRegex(tony_rl.Error, 'SafetyPointGaol1.*\n*try: "SafetyPointGoal1-v0"'):
            tony_rl.make("SafetyPointGaol1")
        with self.assertRaisesRegex(tony_rl.Error, "no render_mode `human`"):
            tony_rl.make(GOAL, render_mode="human")
        with self.assertRaisesRegex(tony_rl.Error, "nowhere.toml"):
            tony_rl.make("nowhere.toml")
        env = tony_rl.make(GOAL)
        with self.assertRaises(ResetNeeded):
            env.step(np.zeros(2))
        env.reset(seed=0)
        state = env.save()
        for action, text in [([0.0, np.nan], "NaN.*finite"), ([0.0], r"shape \(2,\)"), ([[0.0, 0.0]], "shape"), ([np.inf, 0], "inf")]:
            with self.assertRaisesRegex(tony_rl.Error, text):
                env.step(action)
            self.assertEqual(env.save(), state)
        env.step([5.0, -5.0])  # Clipped.
        cart = gymnasium.make("tony/CartPole-v1")
        cart.reset(seed=0)
        for action in (2, -1, 0.5):
            with self.assertRaisesRegex(tony_rl.Error, "whole number from 0 to 1"):
                cart.step(action)
        while not cart.step(0)[2]:
            pass
        with self.assertRaisesRegex(ResetNeeded, "over"):
            cart.step(0)


class Vector(unittest.TestCase):
    def test_many_are_as_many_singles_in_every_mode_on_any_threads(self):
        n, steps, name = 5, 60, "CartPole-v1"
        for mode in ("NextStep", "SameStep", "Disabled"):
            for threads in (1, 3):
                with self.subTest(mode=mode, threads=threads):
                    envs = tony_rl.make_vec(name, n, autoreset_mode=mode, threads=threads)
                    singles = [gymnasium.make(f"tony/{name}") for _ in range(n)]
                    obs, _ = envs.reset(seed=7)
                    for i, single in enumerate(singles):
                        np.testing.assert_array_equal(obs[i], single.reset(seed=7 + i)[0])
                    over, ended = np.zeros(n, bool), 0
                    for action in actions(envs, steps):
                        if mode == "Disabled" and over.any():
                            obs, _ = envs.reset(options={"reset_mask": over})
                            for i in np.flatnonzero(over):
                                np.testing.assert_array_equal(obs[i], singles[i].reset()[0])
                        obs, rewards, terminated, truncated, info = envs.step(action)
                        for i, single in enumerate(singles):
                            if mode == "NextStep" and over[i]:
                                expected = (single.reset()[0], 0.0, False, False)
                            else:
                                expected = single.step(action[i])[:4]
                            if mode == "SameStep" and (expected[2] or expected[3]):
                                np.testing.assert_array_equal(info["final_obs"][i], expected[0])
                                expected = (single.reset()[0], *expected[1:])
                            np.testing.assert_array_equal(obs[i], expected[0])
                            self.assertEqual((rewards[i], terminated[i], truncated[i]), expected[1:])
                        over = terminated | truncated
                        ended += over.sum()
                    self.assertGreater(ended, n)

    def test_games_that_run_elsewhere_are_the_same_many_and_single(self):
        try:
            envs = tony_rl.make_vec("Pong-ram", 3)
        except tony_rl.Error as error:
            self.skipTest(str(error))
        singles = [tony_rl.make("Pong-ram") for _ in range(3)]
        obs, _ = envs.reset(seed=0)
        for i, single in enumerate(singles):
            np.testing.assert_array_equal(obs[i], single.reset(seed=i)[0])
        for action in actions(envs, 50):
            obs, rewards, *_ = envs.step(action)
            for i, single in enumerate(singles):
                expected = single.step(action[i])
                np.testing.assert_array_equal(obs[i], expected[0])
                self.assertEqual(rewards[i], expected[1])

    def test_gymnasium_makes_them_and_costs_are_columns(self):
        envs = gymnasium.make_vec(f"tony/{GOAL}", num_envs=3)
        self.assertIsInstance(envs, tony_rl.VectorEnv)
        self.assertEqual(envs.metadata["autoreset_mode"], gymnasium.vector.AutoresetMode.NEXT_STEP)
        self.assertIn(envs.reset(seed=0)[0], envs.observation_space)
        for action in actions(envs, 5):
            obs, _, _, _, info = envs.step(action)
            self.assertIn(obs, envs.observation_space)
            self.assertEqual(info["cost"].shape, (3,))
            self.assertTrue(info["_cost_hazards"].all())

    def test_what_was_given_is_never_changed_later(self):
        envs = tony_rl.make_vec("CartPole-v1", 2, autoreset_mode="Disabled")
        first, _ = envs.reset(seed=0)
        kept = first.copy()
        second = envs.step([0, 1])[0]
        np.testing.assert_array_equal(first, kept)
        kept = second.copy()
        second[:] = 9.0
        masked, _ = envs.reset(options={"reset_mask": np.array([True, False])})
        np.testing.assert_array_equal(masked[1], kept[1])
        self.assertTrue((second == 9.0).all())

    def test_what_is_wrong_is_named_and_none_is_stepped(self):
        envs = tony_rl.make_vec(GOAL, 3)
        with self.assertRaisesRegex(tony_rl.Error, "environment 0 .* never reset"):
            envs.step(np.zeros((3, 2)))
        with self.assertRaisesRegex(tony_rl.Error, "2 seeds for 3"):
            envs.reset(seed=[1, 2])
        with self.assertRaisesRegex(tony_rl.Error, "reset_mask"):
            envs.reset(options={"reset_mask": np.zeros(3, bool)})
        envs.reset(seed=0)
        before = [envs.save(i) for i in range(3)]
        bad = np.zeros((3, 2))
        bad[2, 1] = np.nan
        with self.assertRaisesRegex(tony_rl.Error, "environment 2 .*finite"):
            envs.step(bad)
        with self.assertRaises((tony_rl.Error, ValueError)):
            envs.step(np.zeros((2, 2)))
        self.assertEqual(before, [envs.save(i) for i in range(3)])
        with self.assertRaisesRegex(tony_rl.Error, "no environment 3"):
            envs.save(3)
        with self.assertRaisesRegex(tony_rl.Error, "autoreset"):
            tony_rl.make_vec(GOAL, 2, autoreset_mode="Never")
        dead = tony_rl.make_vec("CartPole-v1", 2, autoreset_mode="Disabled")
        dead.reset(seed=0)
        with self.assertRaisesRegex(tony_rl.Error, "environment . .* ended its episode"):
            for _ in range(500):
                dead.step([0, 0])


if __name__ == "__main__":
    unittest.main()
