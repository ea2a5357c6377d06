//! Saved states: little-endian numbers one after the other.

use crate::{Error, Result};

/// Append an integer.
pub(crate) fn put_u64(out: &mut Vec<u8>, value: u64) {
    out.extend_from_slice(&value.to_le_bytes());
}

/// Append numbers, bit for bit.
pub(crate) fn put_f64s(out: &mut Vec<u8>, values: &[f64]) {
    for value in values {
        out.extend_from_slice(&value.to_le_bytes());
    }
}

/// The whole state of a task that is `steps` and a few numbers.
pub(crate) fn save_counted(out: &mut Vec<u8>, steps: usize, numbers: &[f64]) {
    put_u64(out, steps as u64);
    put_f64s(out, numbers);
}

/// Reads back what [`save_counted`] wrote; `env` is named in errors, before which nothing is changed.
pub(crate) fn load_counted(env: &str, state: &[u8], steps: &mut usize, numbers: &mut [f64]) -> Result<()> {
    let mut reader = Reader::new(env, state, 8 * (1 + numbers.len()))?;
    *steps = reader.u64()? as usize;
    reader.f64s(numbers)
}

/// Reads back what was put, in the same order.
pub(crate) struct Reader<'a> {
    env: &'a str,
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// Read `state`, which must be `len` bytes: checked first, so that nothing is half loaded.
    pub(crate) fn new(env: &'a str, state: &'a [u8], len: usize) -> Result<Self> {
        if state.len() == len {
            return Ok(Self { env, rest: state });
        }
        Err(Error::BadState { env: env.to_owned(), reason: format!("it has {} bytes, expected {len}", state.len()) })
    }

    /// The next integer.
    pub(crate) fn u64(&mut self) -> Result<u64> {
        let Some((word, rest)) = self.rest.split_first_chunk() else {
            return Err(Error::BadState { env: self.env.to_owned(), reason: "it ends too early".to_owned() });
        };
        self.rest = rest;
        Ok(u64::from_le_bytes(*word))
    }

    /// The next `out.len()` numbers.
    pub(crate) fn f64s(&mut self, out: &mut [f64]) -> Result<()> {
        for value in out {
            *value = f64::from_bits(self.u64()?);
        }
        Ok(())
    }
}
