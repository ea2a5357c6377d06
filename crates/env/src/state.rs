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
