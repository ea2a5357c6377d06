//! Diversity Is All You Need.
//!
//! B. Eysenbach, A. Gupta, J. Ibarz, S. Levine, "Diversity Is All You Need: Learning Skills without a Reward Function" (2019), as
//! J. Achiam et al., "Variational Option Discovery Algorithms" (2018), section 3.2 and appendix B, state it.
//!
//! The decoder sees one state at a time, and each state of a path pays how well its context can be told from it: a dense reward, with a
//! value function and a discount. The policy earns for its entropy, too.
//!
//! Omitted: soft actor-critic (the policy learns by plain policy gradient, as its siblings do), and the constant `-log G(c)` of the
//! reward, which at one length of paths only shifts the values. The curriculum and the metrics look at the last state of a path.
//!
//! | paper | here |
//! |---|---|
//! | `log P_D(c\|tau) = sum_t log P_D(c\|s_t)`, t = 0 ... T | [`path_returns`], `StateDecoder` |
//! | `normalise(sum_{t' >= t} gamma^{t'-t} (log P_D(c\|s_t') + r_t') - V(s_t, c))` | [`residual`] of it |
//! | `beta` | `entropy` |

use tony_run::{Metrics, Plan};

use crate::Result;
use crate::algorithm::{Algorithm, Start};
use crate::algorithms::vic::StateDecoder;
use crate::options::{Options, Told, discounted, options_accessors, residual};
use crate::rollout::Rollout;

/// DIAYN.
pub struct Diayn {
    options: Options,
    decoder: StateDecoder,
}

impl Diayn {
    /// Build from settings.
    pub fn new(plan: &Plan, start: Start) -> Result<Self> {
        let options = Options::new(plan, start, 1)?;
        let decoder = StateDecoder::new(plan, start, options.config.contexts)?;
        Ok(Self { options, decoder })
    }
}

impl Algorithm for Diayn {
    fn update(&mut self, rollout: &Rollout, metrics: &mut Metrics) -> Result<()> {
        let paths = self.options.paths(rollout)?;
        let config = &self.options.config;
        let (steps, lr, gamma) = (config.decoder_steps, config.decoder_lr, config.gamma);
        let scale = config.decoder_scale as f32;
        let seen: Vec<f32> = paths.states().iter().map(|x| scale * x).collect();
        let states = paths.steps + 1;
        let truth: Vec<u32> = paths.contexts.iter().flat_map(|&c| std::iter::repeat_n(c, states)).collect();
        // What the decoder says before it learns from these paths is what it says of paths that it has not seen.
        let before = self.decoder.tell(&seen, &truth, paths.choices);
        let returns = path_returns(&before.log_p, &rollout.reward, paths.steps, gamma);
        let advantage = residual(&returns, &self.options.values(&paths));
        self.options.improve(&paths, &advantage, metrics)?;
        self.options.fit_value(&paths, &returns)?;
        let mut loss = 0.0;
        for _ in 0..steps {
            loss = self.decoder.learn(&seen, &truth, paths.choices, lr)?;
        }
        let after = self.decoder.tell(&seen, &truth, paths.choices);
        self.options.finish(&paths, &last(&before, states), &last(&after, states), loss, metrics);
        Ok(())
    }

    options_accessors!();
}

/// `sum_{t' >= t} gamma^{t'-t} (log P_D(c|s_t') + r_t')` of each row, `[paths, steps]`, from `log P_D` of each state, `[paths, steps + 1]`,
/// and rewards, `[paths, steps]`. The last state, which no action follows, pays too.
pub fn path_returns(log_p: &[f64], reward: &[f32], steps: usize, gamma: f64) -> Vec<f32> {
    let mut signal: Vec<f32> = log_p.iter().map(|&l| l as f32).collect();
    for (signal, reward) in signal.chunks_exact_mut(steps + 1).zip(reward.chunks_exact(steps)) {
        signal.iter_mut().zip(reward).for_each(|(s, r)| *s += r);
    }
    let returns = discounted(&signal, steps + 1, gamma);
    returns.chunks_exact(steps + 1).flat_map(|path| &path[..steps]).copied().collect()
}

/// What was told of the last of each path's `states`.
fn last(told: &Told, states: usize) -> Told {
    Told {
        log_p: told.log_p.iter().skip(states - 1).step_by(states).copied().collect(),
        right: told.right.iter().skip(states - 1).step_by(states).copied().collect(),
    }
}
