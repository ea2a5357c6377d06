//! Learning-rate schedules.

/// A value as a pure function of progress, so that a resumed run needs no schedule state.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Schedule {
    /// The same value throughout.
    Constant(f64),
    /// From `start` at progress 0 straight down (or up) to `end` at progress 1.
    Linear {
        /// Value at progress 0.
        start: f64,
        /// Value at progress 1.
        end: f64,
    },
}

impl Schedule {
    /// The value at `progress`, which is clamped to `[0, 1]`.
    pub fn at(self, progress: f64) -> f64 {
        match self {
            Self::Constant(value) => value,
            Self::Linear { start, end } => start + (end - start) * progress.clamp(0.0, 1.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Schedule;

    #[test]
    fn linear_decay_hits_both_ends_and_stays_there() {
        let decay = Schedule::Linear { start: 3e-4, end: 0.0 };
        assert_eq!([-1.0, 0.0, 0.5, 1.0, 2.0].map(|p| decay.at(p)), [3e-4, 3e-4, 1.5e-4, 0.0, 0.0]);
        assert_eq!(Schedule::Constant(0.1).at(0.7), 0.1);
    }
}
