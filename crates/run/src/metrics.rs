use crate::{Error, Result};
use serde_json::{Map, Value};

/// The quantities of one update, by name, in the order in which they were set; `None` is "nothing to measure".
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Metrics {
    entries: Vec<(String, Option<f64>)>,
}

impl Metrics {
    /// No quantities.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets a quantity. A later value replaces an earlier one in its place.
    pub fn set(&mut self, name: &str, value: f64) {
        self.put(name, Some(value));
    }

    /// Says that there was nothing to measure, for example the return where no episode ended.
    pub fn set_none(&mut self, name: &str) {
        self.put(name, None);
    }

    /// Sets a quantity that may be absent.
    pub fn put(&mut self, name: &str, value: Option<f64>) {
        match self.entries.iter_mut().find(|(n, _)| n == name) {
            Some((_, old)) => *old = value,
            None => self.entries.push((name.to_owned(), value)),
        }
    }

    /// A quantity; `None` where it was not set or had nothing to measure.
    pub fn get(&self, name: &str) -> Option<f64> {
        self.entries.iter().find(|(n, _)| n == name).and_then(|(_, value)| *value)
    }

    /// All quantities in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, Option<f64>)> {
        self.entries.iter().map(|(name, value)| (name.as_str(), *value))
    }

    /// The first quantity that is infinite or not a number, as an error that names it and the update.
    pub fn check_finite(&self, update: u64) -> Result<()> {
        match self.iter().find_map(|(name, value)| value.filter(|v| !v.is_finite()).map(|v| (name, v))) {
            Some((name, value)) => Err(Error::NotFinite { name: name.into(), value, update }),
            None => Ok(()),
        }
    }

    /// One line of JSON without a line break. Whole numbers are written as such.
    ///
    /// # Panics
    /// Never: a number that JSON cannot hold becomes `null`.
    pub fn to_json(&self) -> String {
        let number = |value: f64| {
            // Up to 2^53 every whole number is exact. -0.0 keeps its sign only as a float.
            if value.fract() == 0.0
                && value.abs() < 9_007_199_254_740_992.0
                && !(value == 0.0 && value.is_sign_negative())
            {
                Value::from(value as i64)
            } else {
                Value::from(value)
            }
        };
        let object: Map<String, Value> =
            self.iter().map(|(name, value)| (name.to_owned(), value.map_or(Value::Null, number))).collect();
        Value::Object(object).to_string()
    }

    /// Reads a line that [`Metrics::to_json`] wrote.
    pub fn from_json(line: &str) -> Option<Self> {
        let Value::Object(object) = serde_json::from_str(line).ok()? else { return None };
        let entry = |(name, value): (String, Value)| match value {
            Value::Null => Some((name, None)),
            value => Some((name, Some(value.as_f64()?))),
        };
        Some(Self { entries: object.into_iter().map(entry).collect::<Option<_>>()? })
    }
}

#[cfg(test)]
mod tests {
    use super::Metrics;

    #[test]
    fn a_line_reads_back_in_order() {
        let mut metrics = Metrics::new();
        metrics.set("steps", 20_000.0);
        metrics.set("Train/KL", 0.1 + 0.2);
        metrics.set_none("Metrics/EpRet");
        metrics.set("tiny", 5e-324);
        metrics.set("zero", -0.0);
        metrics.set("steps", 40_000.0);
        let line = metrics.to_json();
        assert_eq!(
            line,
            r#"{"steps":40000,"Train/KL":0.30000000000000004,"Metrics/EpRet":null,"tiny":5e-324,"zero":-0.0}"#
        );
        assert_eq!(Metrics::from_json(&line), Some(metrics));
        assert_eq!(Metrics::from_json(r#"{"steps":4"#), None);
        assert_eq!(Metrics::from_json(r#"{"steps":"4"}"#), None);
    }

    #[test]
    fn what_is_not_finite_is_named() {
        let mut metrics = Metrics::new();
        metrics.set("steps", 1.0);
        assert!(metrics.check_finite(3).is_ok());
        for value in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            metrics.set("Train/KL", value);
            let message = metrics.check_finite(3).unwrap_err().to_string();
            assert_eq!(message, format!("Train/KL became {value} in update 3"));
        }
    }
}
