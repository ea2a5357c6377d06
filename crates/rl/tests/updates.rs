//! What an update does to a policy, on batches made by hand.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs)]

use tony_env::{Context, Spec};
use tony_random::Stream;
use tony_rl::algorithm::{Algorithm, CostWeights, Norm, Start};
use tony_rl::algorithms::{self, ppo};
use tony_rl::policy::{Batch, Scratch};
use tony_rl::rollout::{End, Episode, Rollout};
use tony_rl::trust_region::surrogate_change;
use tony_run::{Layer, Metrics};

fn spec() -> Spec {
    tony_env::make("probe-cost", &Context::default()).unwrap().spec().clone()
}

fn build(name: &str, settings: &[&str]) -> Box<dyn Algorithm> {
    let common = ["hidden=8", "normalise=false", "critic.passes=0", "cg.damping=0.001", "cg.iterations=50"];
    let words: Vec<&str> = common.iter().chain(settings).copied().collect();
    let entry = algorithms::find(name).unwrap();
    let plan = entry.resolve("probe-cost-v0", &[Layer::command_line(&words).unwrap()]).unwrap();
    entry.build(&plan, Start::new(&spec(), 0)).unwrap()
}

/// Episodes of `length` steps by the algorithm's own policy, each step costing `1 + action` and paying `action (1 + observation)`:
/// reward and cost pull against each other.
fn experience(algorithm: &dyn Algorithm, rows: usize, length: usize) -> Rollout {
    let mut rollout = Rollout::new(2, 1, 1, rows);
    let mut stream = Stream::new(9, "experience", 0);
    let mut scratch = Scratch::default();
    for row in 0..rows {
        rollout.obs[2 * row] = stream.normal() as f32;
        let (obs, act) = (&rollout.obs[2 * row..][..2], &mut rollout.act[row..=row]);
        rollout.log_prob[row] = algorithm.actor().act(obs, &mut [], &mut stream, act, &mut scratch);
        rollout.reward[row] = act[0] * (1.0 + rollout.obs[2 * row]);
        rollout.costs[row] = 1.0 + act[0];
    }
    for last in (length - 1..rows).step_by(length) {
        let cost = rollout.costs[last + 1 - length..=last].iter().map(|&c| f64::from(c)).sum();
        rollout.ends.push(End { row: last, terminated: true, episode: Some(Episode { ret: 0.0, length }) });
        rollout.final_obs.extend([0.0, 0.0]);
        rollout.episode_costs.push(cost);
    }
    rollout
}

/// The episode cost that the batch predicts for the algorithm's present policy: `J_C + T * mean((ratio - 1) A_C)`.
fn predicted_cost(algorithm: &dyn Algorithm, rollout: &Rollout) -> f64 {
    let learner = algorithm.learner().unwrap();
    let advantage = &learner.estimate(rollout).cost_advantages[0];
    let batch = Batch { obs: &rollout.obs, act: &rollout.act, index: None };
    let log_probs = learner.policy.log_probs(&batch);
    rollout.mean_cost(0).unwrap()
        + rollout.mean_length().unwrap() * surrogate_change(&log_probs, &rollout.log_prob, advantage)
}

/// Public code compares an episode's cost with the gradient of a step's (OmniSafe): the constraint is then off by the episode's length.
#[test]
fn cpo_moves_the_cost_of_an_episode_to_its_limit() {
    for length in [5, 50] {
        let rollout = experience(build("cpo", &["gamma=0", "cost.gamma=0"]).as_ref(), 2000, length);
        let level = rollout.mean_cost(0).unwrap();
        // So near that one step inside the trust region can get there, from both sides.
        for offset in [-0.05, 0.05] {
            let limit = level * (1.0 + offset);
            let mut cpo = build("cpo", &["gamma=0", "cost.gamma=0", &format!("cost.limit={limit}")]);
            let mut metrics = Metrics::new();
            cpo.update(&rollout, &mut metrics).unwrap();
            let case = metrics.get("Train/OptimCase").unwrap();
            assert_eq!(case, if offset > 0.0 { 2.0 } else { 1.0 }, "length {length}");
            assert!(metrics.get("Train/StepFraction").unwrap() > 0.0, "nothing was accepted");
            let left = (predicted_cost(cpo.as_ref(), &rollout) - limit) / (level - limit).abs();
            // The linear model is exact to first order: at a KL divergence of 0.01 the second is about a hundredth of a step's cost,
            // a fifth of the way; the line search may add a shortening or two.
            assert!(left.abs() < 0.5, "length {length}: {left} of the way is left");
        }
    }
}

#[test]
fn cpo_recovers_by_reducing_cost_when_nothing_is_feasible() {
    let mut cpo = build("cpo", &["cost.limit=0"]);
    let rollout = experience(cpo.as_ref(), 2000, 50);
    let before = predicted_cost(cpo.as_ref(), &rollout);
    let mut metrics = Metrics::new();
    cpo.update(&rollout, &mut metrics).unwrap();
    assert_eq!(metrics.get("Train/OptimCase"), Some(0.0));
    assert!(predicted_cost(cpo.as_ref(), &rollout) < before - 0.5, "cost did not fall");
    let kl = metrics.get("Train/KL").unwrap();
    assert!(kl > 0.004 && kl <= 0.01 + 1e-9, "the step should use the trust region: {kl}");
}

/// Another limit changes the very next step (public code that reads another field of the same name fails this).
#[test]
fn the_limit_decides_the_case() {
    let rollout = experience(build("cpo", &[]).as_ref(), 2000, 50);
    let level = rollout.mean_cost(0).unwrap();
    for (factor, case) in [(100.0, 3.0), (1.01, 2.0), (0.99, 1.0), (0.01, 0.0)] {
        let mut metrics = Metrics::new();
        build("cpo", &[&format!("cost.limit={}", factor * level)]).update(&rollout, &mut metrics).unwrap();
        assert_eq!(metrics.get("Train/OptimCase"), Some(case), "limit {factor} x the present cost");
    }
}

#[test]
fn no_finished_episode_keeps_the_last_cost() {
    let mut cpo = build("cpo", &["cost.limit=10"]);
    let mut rollout = experience(cpo.as_ref(), 400, 50);
    cpo.update(&rollout, &mut Metrics::new()).unwrap();
    let level = cpo.learner().unwrap().constraints[0].level;
    assert!((level - rollout.mean_cost(0).unwrap()).abs() < 1e-12);
    rollout.ends.iter_mut().for_each(|end| end.episode = None);
    cpo.update(&rollout, &mut Metrics::new()).unwrap();
    assert_eq!(cpo.learner().unwrap().constraints[0].level, level);
}

#[test]
fn multipliers_weigh_costs_as_the_paper_says() {
    let of = |norm, multipliers: &[f64]| CostWeights::lagrangian(norm, multipliers);
    assert_eq!(of(Norm::Sum, &[3.0]), CostWeights { reward: 0.25, costs: vec![0.75] });
    assert_eq!(of(Norm::Sum, &[1.0, 2.0]), CostWeights { reward: 0.25, costs: vec![0.25, 0.5] });
    assert_eq!(of(Norm::Difference, &[0.25]), CostWeights { reward: 0.75, costs: vec![0.25] });
    assert_eq!(of(Norm::Plain, &[7.0]), CostWeights { reward: 1.0, costs: vec![7.0] });
}

/// Costs and their limit k times larger with multipliers k times smaller give the same objective: costs are only ever centred.
#[test]
fn cost_advantages_keep_their_scale() {
    let trpo = build("trpo-lag", &[]);
    let rollout = experience(trpo.as_ref(), 600, 50);
    let mut scaled = rollout.clone();
    scaled.costs.iter_mut().for_each(|c| *c *= 8.0);
    let (one, eight) = (trpo.learner().unwrap().estimate(&rollout), trpo.learner().unwrap().estimate(&scaled));
    let mean = |column: &[f32]| column.iter().map(|&x| f64::from(x)).sum::<f64>() / column.len() as f64;
    assert!(mean(&one.cost_advantages[0]).abs() < 1e-5);
    let norm = |column: &[f32]| tony_nn::norm(column);
    let ratio = norm(&eight.cost_advantages[0]) / norm(&one.cost_advantages[0]);
    // The untrained critic's share does not scale with the costs; it is of size 0.1 beside advantages of size 10.
    assert!((ratio - 8.0).abs() < 0.2, "{ratio}");
}

#[test]
fn the_clipped_weight_is_the_derivative_of_the_clipped_surrogate() {
    for advantage in [-1.5_f32, 2.0] {
        for log_ratio in [-0.5_f32, -0.1, 0.0, 0.1, 0.5] {
            let value = |l: f32| f64::from(ppo::clipped_surrogate(l.exp(), advantage, 0.2));
            let h = 1e-3;
            let numeric = (value(log_ratio + h) - value(log_ratio - h)) / (2.0 * f64::from(h));
            let weight = f64::from(ppo::clipped_weight(log_ratio.exp(), advantage, 0.2));
            // f32 values of size one over a step of 1e-3.
            assert!((numeric - weight).abs() < 1e-3, "{advantage} {log_ratio}: {numeric} {weight}");
        }
    }
    // A cost enters with a negative weight, and its clip is then the pessimistic one: max(r A_C, clip(r) A_C).
    assert_eq!(-ppo::clipped_surrogate(1.5, -1.0, 0.1), 1.5);
    assert_eq!(-ppo::clipped_surrogate(1.5, 1.0, 0.1), -1.1);
}

/// With `beta` the cost's weight grows with the rewards, so a reward scale changes no direction; without, it does.
#[test]
fn with_beta_the_scale_of_the_rewards_changes_nothing() {
    let moved = |scale: f32, settings: &[&str]| {
        let fixed =
            ["standardise=false", "lagrangian.init=1", "pid.kp=0", "pid.ki=0", "pid.kd=0", "gamma=0", "cost.gamma=0"];
        let words: Vec<&str> = fixed.iter().chain(settings).copied().collect();
        let mut trpo = build("trpo-pid", &words);
        let mut rollout = experience(trpo.as_ref(), 600, 50);
        rollout.reward.iter_mut().for_each(|reward| *reward *= scale);
        let before = trpo.learner().unwrap().policy.params().to_vec();
        let mut metrics = Metrics::new();
        // The average over updates starts at 1; after fifty it has forgotten that to half a per cent.
        for _ in 0..50 {
            let mut batch = rollout.clone();
            batch.update = 0;
            trpo.learner_mut().unwrap().policy.params_mut().copy_from_slice(&before);
            trpo.update(&batch, &mut metrics).unwrap();
        }
        let after = trpo.learner().unwrap().policy.params();
        let step: Vec<f32> = after.iter().zip(&before).map(|(a, b)| a - b).collect();
        (step, metrics.get("Train/Beta"))
    };
    let cosine = |a: &[f32], b: &[f32]| tony_nn::dot(a, b) / tony_nn::norm(a) / tony_nn::norm(b);
    let wide = ["lagrangian.beta=true", "lagrangian.beta.max=1000"];
    let ((one, beta_one), (ten, beta_ten)) = (moved(1.0, &wide), moved(10.0, &wide));
    let ratio = beta_ten.unwrap() / beta_one.unwrap();
    // 0.9^50 of the start is left, of a ratio of one.
    assert!((ratio - 10.0).abs() < 0.1, "{ratio}");
    // The untrained critic is a tenth of the advantages and does not grow with the rewards.
    assert!(cosine(&one, &ten) > 0.99, "{}", cosine(&one, &ten));
    let (plain_one, plain_ten) = (moved(1.0, &[]).0, moved(10.0, &[]).0);
    assert!(cosine(&plain_one, &plain_ten) < 0.9, "{}", cosine(&plain_one, &plain_ten));
}

/// With equal rewards there is no gradient and 0/0 is near; a trust region then has no direction, and stays. CPO still reduces a cost.
#[test]
fn no_gradient_is_no_step_and_never_not_a_number() {
    let settings = ["gamma=0", "cost.gamma=0", "cost.limit=10"];
    for name in ["trpo", "cpo", "trpo-lag"] {
        let mut algorithm = build(name, &settings);
        let mut rollout = experience(algorithm.as_ref(), 1024, 32);
        rollout.obs.fill(0.25);
        rollout.reward.fill(0.0);
        let before = algorithm.learner().unwrap().policy.params().to_vec();
        let mut metrics = Metrics::new();
        algorithm.update(&rollout, &mut metrics).unwrap();
        assert!(metrics.iter().all(|(_, value)| value.is_none_or(f64::is_finite)), "{name}: {metrics:?}");
        let after = algorithm.learner().unwrap().policy.params();
        assert!(after.iter().all(|p| p.is_finite()), "{name}");
        if name == "trpo" {
            assert_eq!((after, metrics.get("Train/StepFraction")), (&before[..], Some(0.0)));
        } else {
            assert!(metrics.get("Train/StepFraction").unwrap() > 0.0, "{name} has a cost to reduce");
        }
    }
}
