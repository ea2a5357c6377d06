//! Data sets with one JSON object a line.

use std::io::{BufRead, BufReader, Read};
use std::path::Path;

use serde::de::DeserializeOwned;

use crate::{Error, Result};

/// No line is longer: a file that has one is not what it should be, and is not read into memory.
const LONGEST: u64 = 16 << 20;

/// All lines that are not empty, each with its number, from 1. A line that cannot be read is told with the file and its number.
pub fn read<T: DeserializeOwned>(path: &Path) -> Result<Vec<(usize, T)>> {
    let mut file = BufReader::new(fs_err::File::open(path)?);
    let (mut rows, mut line) = (Vec::new(), Vec::new());
    for number in 1.. {
        let bad = |what: String| Error::Data { path: path.to_owned(), line: number, what };
        line.clear();
        if file.by_ref().take(LONGEST + 1).read_until(b'\n', &mut line)? == 0 {
            break;
        }
        if line.len() as u64 > LONGEST {
            return Err(bad(format!("the line is longer than {} MB", LONGEST >> 20)));
        }
        let text = std::str::from_utf8(&line)
            .map_err(|error| bad(format!("byte {} is not UTF-8", error.valid_up_to() + 1)))?;
        if !text.trim().is_empty() {
            rows.push((number, serde_json::from_str(text).map_err(|error| bad(place(&error)))?));
        }
    }
    Ok(rows)
}

/// What is wrong and in which column; the line is known.
fn place(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let what = text.split(" at line ").next().unwrap_or(&text);
    format!("{what} (column {})", error.column())
}
