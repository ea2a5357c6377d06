//! [`NetActor`]: what off-policy algorithms act with, a network and a way to explore.
//!
//! Actions of a box are computed in the cube `[-1, 1]^d` and then stretched to the bounds; observations may be multiplied by fixed factors.

use tony_env::Spec;
use tony_env::space::Space;
use tony_nn::{Mlp, Rows, categorical, squashed};
use tony_random::Stream;
use tony_run::Archive;

use crate::actor_critic::Nonlinearity;
use crate::policy::{Actor, Scratch};
use crate::{Error, Result};

/// How an action is told from the network's output, and varied while learning.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Head {
    /// The output is a value for each of the discrete actions; the largest wins, but with this probability any.
    Greedy(f64),
    /// The squashed output is the action; normal noise of this deviation is added in the cube.
    Deterministic(f64),
    /// The output is the mean and log-deviation of a squashed Gaussian.
    Squashed,
}

/// A network that acts.
#[derive(Debug)]
pub struct NetActor {
    /// Its shape.
    pub net: Mlp,
    /// Its parameters.
    pub params: Vec<f32>,
    /// How actions are told from its output.
    pub head: Head,
    /// Take any action, all alike, whatever the network says.
    pub uniform: bool,
    scale: Scale,
}

/// Between the numbers of a task and those of the networks.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Scale {
    /// Middle and half width of a box of actions; nothing for discrete ones.
    centre: Vec<f32>,
    half: Vec<f32>,
    /// What each number of an observation is multiplied by; nothing: by 1.
    obs: Vec<f32>,
}

impl Scale {
    /// For these actions, and factors of the numbers of an observation, if any.
    pub fn new(space: &Space, obs: &[f64]) -> Self {
        let obs = obs.iter().map(|factor| *factor as f32).collect();
        let Space::Box { low, high } = space else { return Self { obs, ..Self::default() } };
        let of = |f: fn((&f64, &f64)) -> f64| low.iter().zip(high).map(|bounds| f(bounds) as f32).collect();
        Self { centre: of(|(l, h)| 0.5 * (h + l)), half: of(|(l, h)| 0.5 * (h - l)), obs }
    }

    /// Rows of observations as networks see them, in place.
    pub fn observe(&self, obs: &mut [f32]) {
        if !self.obs.is_empty() {
            for row in obs.chunks_exact_mut(self.obs.len()) {
                row.iter_mut().zip(&self.obs).for_each(|(x, factor)| *x *= factor);
            }
        }
    }

    /// Rows of the cube to rows of the box, in place.
    pub fn stretch(&self, act: &mut [f32]) {
        for row in act.chunks_exact_mut(self.half.len().max(1)) {
            row.iter_mut().zip(&self.half).zip(&self.centre).for_each(|((a, half), centre)| *a = centre + half * *a);
        }
    }

    /// Rows of the box to rows of the cube, in place.
    pub fn shrink(&self, act: &mut [f32]) {
        for row in act.chunks_exact_mut(self.half.len().max(1)) {
            row.iter_mut().zip(&self.half).zip(&self.centre).for_each(|((a, half), centre)| *a = (*a - centre) / half);
        }
    }
}

impl NetActor {
    /// Numbers that a network with this head gives for an action space; an error where the two do not fit.
    pub fn outputs(algorithm: &str, spec: &Spec, head: Head) -> Result<usize> {
        let invalid = |what: String, hint: &str| Err(Error::Invalid { what, hint: hint.to_owned() });
        match (&spec.action, head) {
            (Space::Discrete { n }, Head::Greedy(_)) => Ok(*n),
            (Space::Box { low, high }, Head::Deterministic(_) | Head::Squashed) => {
                if low.iter().chain(high).any(|bound| !bound.is_finite()) {
                    return invalid(
                        format!(
                            "{} has actions without bounds, and {algorithm} stretches its actions to them",
                            spec.name
                        ),
                        "use ppo or trpo, or another task: tony list envs",
                    );
                }
                Ok(low.len() * if head == Head::Squashed { 2 } else { 1 })
            }
            (Space::Discrete { n }, _) => invalid(
                format!("{algorithm} needs continuous actions, and {} has {n} discrete ones", spec.name),
                "use dqn here, or ppo; or a task with continuous actions: tony list envs",
            ),
            (Space::Box { low, .. }, _) => invalid(
                format!("{algorithm} needs discrete actions, and {} has {} continuous ones", spec.name, low.len()),
                "use sac, td3, ddpg or preqn here; or a task with discrete actions: tony list envs",
            ),
        }
    }

    /// An actor with these parameters, which begins by exploring `uniform`ly or not.
    pub fn new(net: Mlp, params: Vec<f32>, head: Head, uniform: bool, scale: Scale) -> Self {
        Self { net, params, head, uniform, scale }
    }

    /// An actor of the shape that `archive` describes; see [`Actor::save`].
    pub fn from_archive(archive: &Archive, spec: &Spec) -> Result<Self> {
        let head = match archive.note("head") {
            Some("greedy") => Head::Greedy(0.0),
            Some("squashed") => Head::Squashed,
            _ => Head::Deterministic(0.0),
        };
        let outputs = Self::outputs("this policy", spec, head)?;
        let layers = archive.shape("policy.sizes").unwrap_or(&[2]).to_vec();
        let sizes: Vec<usize> = archive.u64("policy.sizes", &layers)?.iter().map(|&n| n as usize).collect();
        if sizes.len() < 2 || sizes[0] != spec.obs_dim || sizes[sizes.len() - 1] != outputs {
            return Err(Error::Invalid {
                what: format!(
                    "the policy has layers {sizes:?}, and {} needs one of {} observations and {outputs} outputs",
                    spec.name, spec.obs_dim
                ),
                hint: "use the environment that the policy was trained on".to_owned(),
            });
        }
        let net = Mlp::new(&sizes, Nonlinearity::named(archive.note("activation")).activation())?;
        let params = vec![0.0; net.num_params()];
        let mut actor = Self::new(net, params, head, false, Scale::new(&spec.action, &[]));
        if archive.shape(OBS_SCALE).is_some() {
            actor.scale.obs = archive.f32(OBS_SCALE, &[spec.obs_dim])?;
        }
        actor.load(archive)?;
        Ok(actor)
    }

    /// Actions of the cube for observations `[rows, obs_dim]` as networks see them, by these parameters.
    pub fn actions(&self, params: &[f32], obs: &[f32]) -> Vec<f32> {
        let rows = Rows::all(obs, self.net.input());
        let mut act = vec![0.0; rows.len() * self.net.output()];
        self.net.forward(params, &rows, &mut act);
        act.iter_mut().for_each(|a| *a = tony_nn::tanh(*a));
        act
    }

    fn output<'s>(&self, obs: &[f32], scratch: &'s mut Scratch) -> &'s [f32] {
        let Scratch { input, output, net, .. } = scratch;
        input.clear();
        input.extend_from_slice(obs);
        self.scale.observe(input);
        output.resize(self.net.output(), 0.0);
        self.net.forward_row(&self.params, input, output, net);
        output
    }
}

impl Actor for NetActor {
    fn act(&self, obs: &[f32], memory: &mut [f32], stream: &mut Stream, act: &mut [f32], scratch: &mut Scratch) -> f32 {
        let mut log_prob = [0.0];
        match self.head {
            Head::Greedy(epsilon) => {
                if self.uniform || stream.uniform() < epsilon {
                    act[0] = stream.below(self.net.output()) as f32;
                } else {
                    self.mode(obs, memory, act, scratch);
                }
                return 0.0;
            }
            _ if self.uniform => act.iter_mut().for_each(|a| *a = stream.range(-1.0, 1.0) as f32),
            Head::Deterministic(noise) => {
                for (a, y) in act.iter_mut().zip(self.output(obs, scratch)) {
                    *a = (tony_nn::tanh(*y) + (noise * stream.normal()) as f32).clamp(-1.0, 1.0);
                }
            }
            Head::Squashed => {
                let mut noise = std::mem::take(&mut scratch.noise);
                noise.clear();
                noise.extend(act.iter().map(|_| stream.normal() as f32));
                squashed::sample(self.output(obs, scratch), act.len(), &noise, act, &mut log_prob);
                scratch.noise = noise;
            }
        }
        self.scale.stretch(act);
        log_prob[0]
    }

    fn mode(&self, obs: &[f32], _: &mut [f32], act: &mut [f32], scratch: &mut Scratch) {
        let y = self.output(obs, scratch);
        match self.head {
            Head::Greedy(_) => {
                let mut best = [0];
                categorical::mode(y, self.net.output(), &mut best);
                act[0] = best[0] as f32;
                return;
            }
            Head::Deterministic(_) => act.iter_mut().zip(y).for_each(|(a, y)| *a = tony_nn::tanh(*y)),
            Head::Squashed => squashed::mode(y, act.len(), act),
        }
        self.scale.stretch(act);
    }

    fn save(&self, archive: &mut Archive) -> Result<()> {
        let sizes: Vec<u64> = self.net.sizes().iter().map(|&n| n as u64).collect();
        archive.put_u64("policy.sizes", &[sizes.len()], &sizes)?;
        archive.put_f32("policy.params", &[self.params.len()], &self.params)?;
        if !self.scale.obs.is_empty() {
            archive.put_f32(OBS_SCALE, &[self.scale.obs.len()], &self.scale.obs)?;
        }
        archive.set_note("kind", KIND);
        archive.set_note(
            "head",
            match self.head {
                Head::Greedy(_) => "greedy",
                Head::Deterministic(_) => "deterministic",
                Head::Squashed => "squashed",
            },
        );
        archive.set_note("activation", Nonlinearity::of(self.net.activation()).name());
        Ok(())
    }

    fn load(&mut self, archive: &Archive) -> Result<()> {
        self.params = archive.f32("policy.params", &[self.params.len()])?;
        Ok(())
    }
}

/// The note `kind` of its archives.
pub const KIND: &str = "net";
/// Factors of the numbers of an observation in its archives, where it has some.
const OBS_SCALE: &str = "policy.obs_scale";

#[cfg(test)]
mod tests {
    use super::*;
    use tony_nn::{Activation, Init};

    fn spec(action: Space) -> Spec {
        Spec { name: "world".to_owned(), obs_dim: 3, action, costs: Vec::new(), max_steps: 10 }
    }

    fn actor(action: &Space, head: Head) -> NetActor {
        let outputs = NetActor::outputs("test", &spec(action.clone()), head).unwrap();
        let net = Mlp::new(&[3, 8, outputs], Activation::Sin).unwrap();
        let mut params = vec![0.0; net.num_params()];
        net.init(&mut params, Init::KaimingUniform, &mut Stream::new(0, "init", 0));
        NetActor::new(net, params, head, false, Scale::new(action, &[0.5, 1.0, -2.0]))
    }

    fn skewed() -> Space {
        Space::Box { low: vec![-1.0, 2.0], high: vec![3.0, 4.0] }
    }

    #[test]
    fn actions_stay_within_the_bounds_and_fill_them() {
        for head in [Head::Deterministic(2.0), Head::Squashed] {
            for uniform in [false, true] {
                let mut actor = actor(&skewed(), head);
                actor.uniform = uniform;
                let mut stream = Stream::new(3, "action", 0);
                let (mut low, mut high) = ([f32::MAX; 2], [f32::MIN; 2]);
                for _ in 0..2_000 {
                    let mut act = [0.0; 2];
                    actor.act(&[0.1, -0.2, 0.3], &mut [], &mut stream, &mut act, &mut Scratch::default());
                    for j in 0..2 {
                        (low[j], high[j]) = (low[j].min(act[j]), high[j].max(act[j]));
                    }
                }
                assert!(low[0] >= -1.0 && low[1] >= 2.0 && high[0] <= 3.0 && high[1] <= 4.0, "{low:?} {high:?}");
                assert!(low[0] < -0.9 && low[1] < 2.1 && high[0] > 2.9 && high[1] > 3.9, "{head:?} {low:?} {high:?}");
            }
        }
    }

    #[test]
    fn the_greedy_action_is_taken_but_for_the_share_that_explores() {
        let actor = actor(&Space::Discrete { n: 4 }, Head::Greedy(0.4));
        let (mut stream, mut scratch, mut best) = (Stream::new(3, "action", 0), Scratch::default(), [9.0]);
        actor.mode(&[1.0, 0.0, 0.0], &mut [], &mut best, &mut scratch);
        let mut hits = 0;
        for _ in 0..10_000 {
            let mut act = [9.0];
            actor.act(&[1.0, 0.0, 0.0], &mut [], &mut stream, &mut act, &mut scratch);
            hits += u32::from(act == best);
        }
        // 0.6 + 0.4 / 4 = 0.7; five standard deviations are 0.023.
        assert!((f64::from(hits) / 10_000.0 - 0.7).abs() < 0.023, "{hits}");
    }

    #[test]
    fn a_saved_actor_is_the_deployed_one() {
        for (space, head) in [
            (skewed(), Head::Deterministic(0.1)),
            (skewed(), Head::Squashed),
            (Space::Discrete { n: 4 }, Head::Greedy(0.1)),
        ] {
            let (mut actor, spec) = (actor(&space, head), spec(space));
            let mut archive = Archive::new();
            actor.save(&mut archive).unwrap();
            let again = NetActor::from_archive(&archive, &spec).unwrap();
            let mut acts = [[0.0; 2]; 2];
            let len = spec.action.row_len();
            for (act, actor) in acts.iter_mut().zip([&actor, &again]) {
                actor.mode(&[0.3, 0.2, -0.7], &mut [], &mut act[..len], &mut Scratch::default());
            }
            assert_eq!(acts[0], acts[1]);
            actor.scale.obs.clear();
            actor.mode(&[0.15, 0.2, 1.4], &mut [], &mut acts[1][..len], &mut Scratch::default());
            assert_eq!(acts[0], acts[1], "the network sees products");
            let other = Spec { obs_dim: 4, ..spec };
            assert!(
                NetActor::from_archive(&archive, &other)
                    .unwrap_err()
                    .to_string()
                    .contains("needs one of 4 observations")
            );
        }
    }

    #[test]
    fn the_wrong_kind_of_actions_is_named() {
        let message = |action, head| NetActor::outputs("dqn", &spec(action), head).unwrap_err().to_string();
        assert_eq!(message(skewed(), Head::Greedy(0.0)), "dqn needs discrete actions, and world has 2 continuous ones");
        assert_eq!(
            message(Space::Discrete { n: 4 }, Head::Squashed),
            "dqn needs continuous actions, and world has 4 discrete ones"
        );
        let endless = Space::Box { low: vec![f64::NEG_INFINITY], high: vec![1.0] };
        assert!(message(endless, Head::Squashed).contains("without bounds"));
    }

    #[test]
    fn shrinking_undoes_stretching() {
        let scale = Scale::new(&skewed(), &[]);
        let mut act = [-1.0, 1.0, 0.5, -0.25];
        scale.stretch(&mut act);
        assert_eq!(act, [-1.0, 4.0, 2.0, 2.75]);
        scale.shrink(&mut act);
        assert_eq!(act, [-1.0, 1.0, 0.5, -0.25]);
    }
}
