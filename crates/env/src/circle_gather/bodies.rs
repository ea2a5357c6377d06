//! Bodies of Duan et al. (2016), which the CPO paper and the surprise paper use.

use crate::locomotion::{ant, humanoid, swimmer};
use crate::mjcf::Element;
use tony_mujoco::Simulation;

/// A body.
#[derive(Debug)]
pub(super) struct Body {
    pub(super) model: fn() -> Element,
    /// Physics steps in an environment step.
    pub(super) frame_skip: usize,
    /// Positions at the start, where they are not the model's.
    pub(super) start: Option<&'static [f64]>,
    /// Which position is read as its heading. Of Ant it is a part of a quaternion, as in the original.
    pub(super) heading: usize,
    /// Heights of the root between which it is up.
    pub(super) upright: Option<[f64; 2]>,
    /// Are external forces observed?
    pub(super) feels: bool,
    /// What it is paid for being up, and what half its squared action and half its squared forces cost.
    pay: [f64; 3],
}

impl Body {
    /// What it is paid besides its task.
    pub(super) fn wellbeing(&self, action: &[f64], simulation: &Simulation) -> f64 {
        let [alive, effort, impact] = self.pay;
        let squares = |values: &mut dyn Iterator<Item = f64>| values.map(|x| x * x).sum::<f64>();
        let mut bounded = action.iter().map(|a| a.clamp(-1.0, 1.0));
        let cost = 0.5 * effort * squares(&mut bounded);
        if impact == 0.0 {
            return alive - cost;
        }
        let mut forces = simulation.cfrc_ext().iter().map(|force| force.clamp(-1.0, 1.0));
        alive - cost - 0.5 * impact * squares(&mut forces)
    }
}

/// Four legs, torques of up to 150 N m.
pub(super) const ANT: Body = Body {
    model: || ant::model(&ant::DUAN),
    frame_skip: 1,
    start: Some(&[0.0, 0.0, 0.55, 1.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0, -1.0, 0.0, -1.0, 0.0, 1.0]),
    heading: 6,
    upright: Some([0.2, 1.0]),
    feels: false,
    pay: [0.0; 3],
};

/// Two legs of three hinges, two arms of two.
pub(super) const HUMANOID: Body = Body {
    model: humanoid::simple_model,
    frame_skip: 1,
    start: None,
    heading: 6,
    upright: Some([0.8, 2.0]),
    feels: true,
    pay: [0.2, 1e-3, 1e-5],
};

/// Three rods in a fluid, torques of up to 50 N m.
pub(super) const SWIMMER: Body = Body {
    model: swimmer::duan_model,
    frame_skip: 50,
    start: None,
    heading: 2,
    upright: None,
    feels: false,
    pay: [0.0; 3],
};
