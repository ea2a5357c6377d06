//! What experiments of many trainings share: values by name, and who hears of them.

use std::collections::BTreeMap;

use crate::Result;

/// What is known of a seed: values by name, of variants as `rbr-ppo.f1`.
pub type Values = BTreeMap<String, f64>;

/// Who hears of a comparison, and may end it.
pub struct Watch<'a> {
    /// Told a line now and then.
    pub told: &'a (dyn Fn(&str) + Sync),
    /// Given all that is known whenever there is more of it.
    pub keep: &'a (dyn Fn(&Values) -> Result<()> + Sync),
    /// Whether to stop.
    pub stop: &'a (dyn Fn() -> bool + Sync),
}
