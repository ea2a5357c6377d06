//! Variational Intrinsic Control, in its canonical form of today.
//!
//! K. Gregor, D. J. Rezende, D. Wierstra, "Variational Intrinsic Control" (2016), as J. Achiam et al., "Variational Option Discovery
//! Algorithms" (2018), section 3.2, state it: the decoder sees where a path ends, nothing else, and there is no entropy bonus.
//!
//! Omitted: a learned distribution of contexts (it collapses onto few of them, as the papers after it found), and the variant without
//! explicit contexts. Not in the papers, and chosen here: the decoder's activation (tanh).
//!
//! | paper | here |
//! |---|---|
//! | `log P_D(c\|tau) = log P_D(c\|s_T)` | [`last_states`], [`StateDecoder`] |
//! | `normalise(log P_D(c\|tau)) + normalise(return - V)` | [`path_advantage`] |
//! | `beta = 0` | `entropy` |

use tony_nn::{Activation, Adam, Init, Mlp, Rows, Workspace};
use tony_random::Stream;
use tony_run::{Archive, Metrics, Plan, settings};

use crate::Result;
use crate::algorithm::{Algorithm, Start};
use crate::critic::{load_adam, save_adam};
use crate::options::{Options, Told, adam, cross_entropy, finite, options_accessors, path_advantage};
use crate::rollout::Rollout;

settings! {
    /// Decoder of states
    pub struct Config {
        /// Widths of the decoder's hidden layers.
        "decoder.hidden" hidden: Vec<usize> = vec![180, 180];
    }
}

/// VIC.
pub struct Vic {
    options: Options,
    decoder: StateDecoder,
}

impl Vic {
    /// Build from settings.
    pub fn new(plan: &Plan, start: Start) -> Result<Self> {
        let options = Options::new(plan, start, 1)?;
        let decoder = StateDecoder::new(plan, start, options.config.contexts)?;
        Ok(Self { options, decoder })
    }
}

impl Algorithm for Vic {
    fn update(&mut self, rollout: &Rollout, metrics: &mut Metrics) -> Result<()> {
        let paths = self.options.paths(rollout)?;
        let config = &self.options.config;
        let (steps, lr) = (config.decoder_steps, config.decoder_lr);
        let seen = last_states(&rollout.final_obs, config.decoder_scale as f32);
        // What the decoder says before it learns from these paths is what it says of paths that it has not seen.
        let before = self.decoder.tell(&seen, &paths.contexts, paths.choices);
        let rewards = self.options.reward_advantage(&paths)?;
        let advantage = path_advantage(&before.log_p, paths.steps, rewards.as_deref());
        self.options.improve(&paths, &advantage, metrics)?;
        let mut loss = 0.0;
        for _ in 0..steps {
            loss = self.decoder.learn(&seen, &paths.contexts, paths.choices, lr)?;
        }
        let after = self.decoder.tell(&seen, &paths.contexts, paths.choices);
        self.options.finish(&paths, &before, &after, loss, metrics);
        Ok(())
    }

    options_accessors!();
}

/// What the decoder sees of a path: its last state, `s_T`, times `scale`.
pub fn last_states(final_obs: &[f32], scale: f32) -> Vec<f32> {
    final_obs.iter().map(|x| scale * x).collect()
}

/// `P_D(c|s)`: a multilayer perceptron from a state to the contexts.
pub struct StateDecoder {
    net: Mlp,
    params: Vec<f32>,
    adam: Adam,
    workspace: Workspace,
}

impl StateDecoder {
    /// Build from settings.
    pub fn new(plan: &Plan, start: Start, contexts: usize) -> Result<Self> {
        let config: Config = plan.group()?;
        let net = Mlp::new(&[&[start.spec.obs_dim], config.hidden.as_slice(), &[contexts]].concat(), Activation::Tanh)?;
        let mut params = vec![0.0; net.num_params()];
        net.init(&mut params, Init::KaimingUniform, &mut Stream::new(start.seed, "init.decoder", 0));
        Ok(Self { adam: adam(params.len()), net, params, workspace: Workspace::default() })
    }

    /// What it says of states, `[n, obs]`, about their contexts.
    pub fn tell(&self, seen: &[f32], contexts: &[u32], choices: usize) -> Told {
        let mut logits = vec![0.0; contexts.len() * self.net.output()];
        self.net.forward(&self.params, &Rows::all(seen, self.net.input()), &mut logits);
        Told::from_logits(&logits, self.net.output(), choices, contexts)
    }

    /// One Adam step on the mean cross-entropy, which it returns as it was.
    pub fn learn(&mut self, seen: &[f32], contexts: &[u32], choices: usize, lr: f64) -> Result<f64> {
        let (n, k) = (contexts.len(), self.net.output());
        let head = |row: usize, y: &[f32], dy: &mut [f32], sums: &mut [f64]| {
            sums[0] += cross_entropy(y, k, choices, &contexts[row..row + y.len() / k], n, dy);
        };
        let (mut grad, mut loss) = (vec![0.0; self.params.len()], [0.0]);
        let rows = Rows::all(seen, self.net.input());
        self.net.gradient(&self.params, &rows, &head, &mut grad, &mut loss, &mut self.workspace);
        finite("gradient of the decoder", &grad)?;
        self.adam.step(&mut self.params, &grad, lr);
        Ok(loss[0] / n as f64)
    }

    /// Write parameters and optimiser state.
    pub fn save(&self, archive: &mut Archive) -> Result<()> {
        archive.put_f32("decoder.params", &[self.params.len()], &self.params)?;
        save_adam(&self.adam, "decoder.adam", archive)
    }

    /// Read back what [`StateDecoder::save`] wrote.
    pub fn load(&mut self, archive: &Archive) -> Result<()> {
        self.params = archive.f32("decoder.params", &[self.params.len()])?;
        load_adam(&mut self.adam, "decoder.adam", archive)
    }
}
