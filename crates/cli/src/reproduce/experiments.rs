//! Measurements without training that recipes name: identities, bounds and small exact problems.

use tony_random::Stream;
use tony_rl::algorithms::pid_lagrangian::{Config, Control, Controller};

/// One experiment.
pub struct Experiment {
    /// Its name in recipes.
    pub id: &'static str,
    /// Names of the values that it measures.
    pub values: &'static [&'static str],
    /// Measure them, in that order.
    pub measure: fn(seed: u64) -> Vec<f64>,
}

/// Every experiment.
pub const ALL: &[Experiment] = &[Experiment {
    id: "pid-plant",
    values: &["peak_i", "peak_pi", "peak_pid", "unrest_i", "unrest_pi"],
    measure: pid_plant,
}];

/// The experiment called `id`.
pub fn find(id: &str) -> Option<&'static Experiment> {
    ALL.iter().find(|experiment| experiment.id == id)
}

/// A plant of one number under the controller: `x += (1 - u) - u` with `u = lambda / (1 + lambda)`, cost `x`, limit 25, from a start that
/// differs a little with the seed. The largest cost, and the mean distance from the limit over the last 200 of 400 steps.
fn pid_plant(seed: u64) -> Vec<f64> {
    let start = if seed == 0 { 0.0 } else { 2.0 * Stream::new(seed, "plant", 0).uniform() };
    let run = |kp: f64, kd: f64| {
        let config = Config {
            control: Control::Pid,
            init: 0.0,
            cost_scale: 1.0,
            kp,
            ki: 0.01,
            kd,
            ema_p: 0.0,
            ema_d: 0.0,
            delay: 1,
            ..Config::default()
        };
        let (mut controller, mut x) = (Controller::new(&config), start);
        let (mut peak, mut unrest) = (f64::NEG_INFINITY, 0.0);
        for step in 0..400 {
            let multiplier = controller.step(&config, x, 25.0);
            peak = f64::max(peak, x);
            unrest += if step >= 200 { (x - 25.0).abs() / 200.0 } else { 0.0 };
            let u = multiplier / (1.0 + multiplier);
            x += (1.0 - u) - u;
        }
        (peak, unrest)
    };
    let (i, pi, pid) = (run(0.0, 0.0), run(0.1, 0.0), run(0.1, 1.0));
    vec![i.0, pi.0, pid.0, i.1, pi.1]
}
