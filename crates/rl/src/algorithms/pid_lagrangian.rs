//! PID Lagrangian methods: a constraint's multiplier as the output of a controller, over any algorithm that takes weighted costs.
//!
//! A. Stooke, J. Achiam, P. Abbeel, "Responsive Safety in Reinforcement Learning by PID Lagrangian Methods" (ICML 2020), Algorithm 2.
//!
//! Before every update each constraint's controller sees the mean undiscounted cost `J` of the episodes that finished in the batch and
//! gives the multiplier of this batch's cost advantages. Where no episode finished, `J` is held; before the first, `J = d`. Several
//! constraints have one controller each and share the normalisation `1 + sum lambda`.
//!
//! `ppo-lag` and `trpo-lag` are integral control as users compare it: Adam on the multiplier (OmniSafe), or on its softplus parameter
//! (Safety Gym). `ppo-pid` and `trpo-pid` are the full controller.
//!
//! Omitted: the recurrent network; the second form of `beta`, from the KL divergences of two trial updates.
//!
//! | paper | here |
//! |---|---|
//! | `J_C`, `d`, `Delta` | `cost`, `limit`, `delta` |
//! | `I`, `K_I` | `integral`, `pid.ki` (inside the integral, as in the published code) |
//! | `K_P`, `K_D` | `pid.kp` on a smoothed `Delta`, `pid.kd` on the delayed rise of a smoothed cost |
//! | `beta_k` (section 7) | `lagrangian.beta`, [`Controller::balance`] |
//! | `lambda`, `u = lambda / (1 + lambda)` (section 5.2) | `multiplier`, [`Norm::Sum`] |

use std::collections::VecDeque;

use tony_run::{Archive, Metrics, Plan, choices, settings};

use crate::Result;
use crate::algorithm::{Algorithm, CostWeights, Norm, wrapper_accessors};
use crate::constraint::multiplier_name;
use crate::rollout::Rollout;

choices! {
    /// How a violation becomes a multiplier.
    pub enum Control {
        /// Proportional, integral and derivative terms.
        Pid = "pid",
        /// Adam on the multiplier, kept at or above 0 (OmniSafe).
        Adam = "adam",
        /// Adam on p, multiplier = softplus(p) (Safety Gym's agents).
        Softplus = "softplus",
    }
}

settings! {
    /// Lagrangian multiplier
    pub struct Config {
        /// How a violation becomes a multiplier: pid, adam or softplus.
        "lagrangian.control" control: Control = Control::Pid;
        /// Multiplier at the start.
        "lagrangian.init" init: f64 = 0.001, (0.0..=1e6);
        /// Step size of adam and softplus.
        "lagrangian.lr" lr: f64 = 0.035, (0.0..=100.0);
        /// How reward and cost share the gradient: sum, difference or plain.
        "lagrangian.norm" norm: Norm = Norm::Sum;
        /// Largest multiplier under `plain`.
        "lagrangian.max" max: f64 = 100.0, (0.0..=1e12);
        /// Multiply a cost's gradient by how much longer the reward's is (beta), so that no result depends on the rewards' scale; needs
        /// standardise=false. A length counts up to max_grad_norm, as in the published code: raise that above what large rewards reach.
        "lagrangian.beta" beta: bool = false;
        /// An update's ratio of the two lengths is held between 1 / this and this before it is averaged over updates.
        "lagrangian.beta.max" beta_max: f64 = 10.0, (1.0..=1e9);
        /// Costs and limits are divided by this before they reach the controller; the gains act on the result.
        "pid.cost_scale" cost_scale: f64 = 1.0, (1e-6..=1e6);
        /// Proportional gain.
        "pid.kp" kp: f64 = 0.1, (0.0..=1e6);
        /// Integral gain.
        "pid.ki" ki: f64 = 0.01, (0.0..=1e6);
        /// Derivative gain.
        "pid.kd" kd: f64 = 0.01, (0.0..=1e6);
        /// Smoothing of the violation for the proportional term; 0: none.
        "pid.ema_p" ema_p: f64 = 0.95, (0.0..=0.9999);
        /// Smoothing of the cost for the derivative term; 0: none.
        "pid.ema_d" ema_d: f64 = 0.95, (0.0..=0.9999);
        /// Updates between the two costs that the derivative compares.
        "pid.delay" delay: usize = 10, (1..=10_000);
    }
}

/// Wraps an algorithm that takes weighted costs.
pub struct PidLagrangian {
    inner: Box<dyn Algorithm>,
    config: Config,
    controllers: Vec<Controller>,
}

impl PidLagrangian {
    /// Wrap `inner`.
    pub fn new(inner: Box<dyn Algorithm>, plan: &Plan) -> Result<Self> {
        let config: Config = plan.group()?;
        let constraints = inner.learner().map_or(0, |learner| learner.constraints.len());
        let controllers = (0..constraints).map(|_| Controller::new(&config)).collect();
        Ok(Self { inner, config, controllers })
    }
}

impl Algorithm for PidLagrangian {
    fn update(&mut self, rollout: &Rollout, metrics: &mut Metrics) -> Result<()> {
        let Some(learner) = self.inner.learner_mut() else { return self.inner.update(rollout, metrics) };
        let ratios = if self.config.beta { learner.gradient_ratios(rollout) } else { Vec::new() };
        let mut multipliers = Vec::with_capacity(self.controllers.len());
        for (constraint, controller) in learner.constraints.iter_mut().zip(&mut self.controllers) {
            constraint.observe(rollout);
            let multiplier = controller.step(&self.config, constraint.level, constraint.limit);
            metrics.set(&multiplier_name(&constraint.name), multiplier);
            multipliers.push(multiplier);
        }
        let mut weights = CostWeights::lagrangian(self.config.norm, &multipliers);
        for ((weight, ratio), controller) in weights.costs.iter_mut().zip(ratios).zip(&mut self.controllers) {
            *weight *= controller.balance(ratio, self.config.beta_max);
            metrics.set("Train/Beta", controller.beta);
        }
        self.inner.weigh_costs(weights)?;
        self.inner.update(rollout, metrics)
    }

    wrapper_accessors!();

    fn save(&self, archive: &mut Archive) -> Result<()> {
        for (i, controller) in self.controllers.iter().enumerate() {
            controller.save(&format!("lagrangian.{i}"), archive)?;
        }
        self.inner.save(archive)
    }

    fn load(&mut self, archive: &Archive) -> Result<()> {
        for (i, controller) in self.controllers.iter_mut().enumerate() {
            controller.load(&format!("lagrangian.{i}"), archive)?;
        }
        self.inner.load(archive)
    }
}

/// The controller of one constraint.
#[derive(Clone, Debug, PartialEq)]
pub struct Controller {
    /// The clamped integral (pid), the multiplier (adam), or its softplus parameter.
    pub integral: f64,
    /// Smoothed violation.
    pub proportional: f64,
    /// Smoothed cost.
    pub smoothed: f64,
    /// Smoothed costs of the last `delay` updates, oldest first; starts with a single 0, as in the published code.
    pub history: VecDeque<f64>,
    /// Last derivative term, before its gain.
    pub derivative: f64,
    /// Average ratio of the lengths of the reward's and this cost's gradient.
    pub beta: f64,
    /// Adam's moments and count.
    adam: [f64; 3],
}

impl Controller {
    /// The state before the first update.
    pub fn new(config: &Config) -> Self {
        let integral = match config.control {
            Control::Pid | Control::Adam => config.init,
            // The inverse of softplus; 1e-12 stands for a multiplier of 0, whose parameter would be minus infinity.
            Control::Softplus => libm::log(libm::expm1(config.init.max(1e-12))),
        };
        Self {
            integral,
            proportional: 0.0,
            smoothed: 0.0,
            history: VecDeque::from([0.0]),
            derivative: 0.0,
            beta: 1.0,
            adam: [0.0; 3],
        }
    }

    /// One update: the multiplier, never negative, for a batch whose mean episode cost is `cost`, under `limit`.
    pub fn step(&mut self, config: &Config, cost: f64, limit: f64) -> f64 {
        let multiplier = match config.control {
            Control::Pid => self.pid(config, cost / config.cost_scale, limit / config.cost_scale),
            Control::Adam => {
                self.integral = (self.integral + self.adam_step(config, cost - limit)).max(0.0);
                self.integral
            }
            Control::Softplus => {
                self.integral += self.adam_step(config, cost - limit);
                libm::log1p(libm::exp(self.integral))
            }
        };
        let most = match config.norm {
            Norm::Sum => f64::INFINITY,
            Norm::Difference => 1.0,
            Norm::Plain => config.max,
        };
        multiplier.clamp(0.0, most)
    }

    /// The published code's controller: Algorithm 2 with smoothing and delay.
    fn pid(&mut self, config: &Config, cost: f64, limit: f64) -> f64 {
        let delta = cost - limit;
        // Anti-windup: a long feasible stretch must not be paid back later.
        self.integral = (self.integral + config.ki * delta).max(0.0);
        if config.norm == Norm::Difference {
            self.integral = self.integral.min(1.0);
        }
        self.proportional = config.ema_p * self.proportional + (1.0 - config.ema_p) * delta;
        self.smoothed = config.ema_d * self.smoothed + (1.0 - config.ema_d) * cost;
        // Of the cost, not of the violation: a change of the limit is no motion. Only a rise counts.
        self.derivative = (self.smoothed - self.history.front().copied().unwrap_or(0.0)).max(0.0);
        let multiplier = config.kp * self.proportional + self.integral + config.kd * self.derivative;
        if self.history.len() == config.delay {
            self.history.pop_front();
        }
        self.history.push_back(self.smoothed);
        multiplier
    }

    /// Take in this update's ratio of gradient lengths; the factor of the cost's weight (section 7).
    pub fn balance(&mut self, ratio: f64, most: f64) -> f64 {
        self.beta = 0.9 * self.beta + 0.1 * ratio.clamp(1.0 / most, most);
        self.beta
    }

    /// Adam's step for the ascent direction `gradient` (beta 0.9 and 0.999, epsilon 1e-8).
    fn adam_step(&mut self, config: &Config, gradient: f64) -> f64 {
        let [m, v, t] = &mut self.adam;
        *m = 0.9 * *m + 0.1 * gradient;
        *v = 0.999 * *v + 0.001 * gradient * gradient;
        *t += 1.0;
        let (m, v) = (*m / (1.0 - libm::pow(0.9, *t)), *v / (1.0 - libm::pow(0.999, *t)));
        config.lr * m / (v.sqrt() + 1e-8)
    }

    fn save(&self, name: &str, archive: &mut Archive) -> Result<()> {
        let [m, v, t] = self.adam;
        let mut state = vec![self.integral, self.proportional, self.smoothed, self.beta, m, v, t];
        state.extend(&self.history);
        Ok(archive.put_f64(name, &[state.len()], &state)?)
    }

    fn load(&mut self, name: &str, archive: &Archive) -> Result<()> {
        let length = archive.shape(name).and_then(|shape| shape.first().copied()).unwrap_or(0).max(7);
        let state = archive.f64(name, &[length])?;
        [self.integral, self.proportional, self.smoothed, self.beta] = [state[0], state[1], state[2], state[3]];
        self.adam = [state[4], state[5], state[6]];
        self.history = state[7..].iter().copied().collect();
        Ok(())
    }
}
