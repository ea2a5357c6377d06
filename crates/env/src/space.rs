//! Action spaces.

/// What a valid action is.
#[derive(Clone, Debug, PartialEq)]
pub enum Space {
    /// A box: one closed interval a dimension.
    Box {
        /// Lower bounds.
        low: Vec<f64>,
        /// Upper bounds.
        high: Vec<f64>,
    },
    /// `n` actions, `0..n`.
    Discrete {
        /// Number of actions.
        n: usize,
    },
}

impl Space {
    /// Numbers in an action row: the dimension of a box, 1 for a discrete action.
    pub fn row_len(&self) -> usize {
        match self {
            Self::Box { low, .. } => low.len(),
            Self::Discrete { .. } => 1,
        }
    }

    /// Is this row a valid action?
    pub fn contains(&self, action: &[f64]) -> bool {
        action.len() == self.row_len()
            && match self {
                Self::Box { low, high } => action.iter().zip(low.iter().zip(high)).all(|(a, (l, h))| l <= a && a <= h),
                Self::Discrete { n } => action[0] >= 0.0 && action[0] < *n as f64 && action[0].fract() == 0.0,
            }
    }
}
