//! The header of a GGUF file: metadata, and where each tensor lies. Nothing that the file says is believed before it was compared with
//! the file's length.

use std::collections::BTreeMap;
use std::io::{BufReader, Read};
use std::path::Path;

use fs_err::File;

use super::tensor::Kind;
use crate::{Error, Result};

/// A value of the metadata.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// Any whole number.
    Whole(i128),
    /// A number with a fraction.
    Real(f64),
    /// Yes or no.
    Flag(bool),
    /// A text.
    Text(String),
    /// A list.
    List(Vec<Value>),
}

impl Value {
    /// The whole number that it is.
    pub fn whole(&self) -> Option<u64> {
        if let Self::Whole(n) = self { u64::try_from(*n).ok() } else { None }
    }

    /// The number that it is.
    pub fn real(&self) -> Option<f64> {
        match self {
            Self::Real(x) => Some(*x),
            Self::Whole(n) => Some(*n as f64),
            _ => None,
        }
    }

    /// The text that it is.
    pub fn text(&self) -> Option<&str> {
        if let Self::Text(text) = self { Some(text) } else { None }
    }

    /// The answer that it is.
    pub fn flag(&self) -> Option<bool> {
        if let Self::Flag(flag) = self { Some(*flag) } else { None }
    }

    /// The list that it is.
    pub fn list(&self) -> Option<&[Self]> {
        if let Self::List(list) = self { Some(list) } else { None }
    }
}

/// Where a tensor lies.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    pub kind: Kind,
    pub rows: usize,
    pub columns: usize,
    /// From the beginning of the file.
    pub offset: u64,
    pub bytes: usize,
}

/// What the header says.
#[derive(Debug)]
pub(super) struct Header {
    pub metadata: BTreeMap<String, Value>,
    pub tensors: BTreeMap<String, Place>,
}

/// Most tensors and most entries of metadata that a file may have.
const MOST: u64 = 1 << 16;

/// Read the header.
pub(super) fn read(path: &Path) -> Result<Header> {
    let file = File::open(path)?;
    let length = file.metadata()?.len();
    let mut reader = Reader { file: BufReader::new(file), at: 0, length, path };
    if reader.bytes::<4>()? != *b"GGUF" {
        return Err(reader.bad("it does not begin with `GGUF`"));
    }
    let version = reader.u32()?;
    if !(2..=3).contains(&version) {
        return Err(reader.bad(format!("GGUF version {version} is not read here, 2 and 3 are")));
    }
    let (tensors, entries) = (reader.u64()?, reader.u64()?);
    if tensors > MOST || entries > MOST {
        return Err(reader.bad(format!("it claims {tensors} tensors and {entries} entries of metadata")));
    }
    let mut metadata = BTreeMap::new();
    for _ in 0..entries {
        let key = reader.text()?;
        let kind = reader.u32()?;
        let value = reader.value(kind, 0)?;
        if metadata.insert(key.clone(), value).is_some() {
            return Err(reader.bad(format!("it has two entries `{key}`")));
        }
    }
    let mut places = Vec::new();
    for _ in 0..tensors {
        let name = reader.text()?;
        let dimensions = reader.u32()?;
        if !(1..=4).contains(&dimensions) {
            return Err(reader.bad(format!("the tensor `{name}` has {dimensions} dimensions")));
        }
        let sizes = (0..dimensions).map(|_| reader.u64()).collect::<Result<Vec<u64>>>()?;
        let (kind, offset) = (reader.u32()?, reader.u64()?);
        places.push((name, sizes, kind, offset));
    }
    let alignment = metadata.get("general.alignment").map_or(Some(32), Value::whole);
    let alignment = alignment.filter(|a| a.is_power_of_two() && *a <= 1 << 20);
    let alignment = alignment.ok_or_else(|| reader.bad("its alignment is no power of two"))?;
    let begin = reader.at.next_multiple_of(alignment);
    let mut found = BTreeMap::new();
    for (name, sizes, kind, offset) in places {
        let kind = Kind::of_gguf(kind).map_err(|kind| {
            reader.bad(format!("the tensor `{name}` is of {kind}: F32, F16, BF16, Q4_0, Q4_1, Q5_0, Q5_1, Q8_0, Q4_K, Q5_K and Q6_K are read here"))
        })?;
        let place = place(kind, &sizes, begin, offset, length);
        let place = place.ok_or_else(|| reader.bad(format!("the tensor `{name}` of {sizes:?} numbers reaches beyond the end of the file, which has {length} bytes: it may have been cut")))?;
        if found.insert(name.clone(), place).is_some() {
            return Err(reader.bad(format!("it has two tensors `{name}`")));
        }
    }
    Ok(Header { metadata, tensors: found })
}

/// `None` where it is not inside the file, or is no whole number of blocks.
fn place(kind: Kind, sizes: &[u64], begin: u64, offset: u64, length: u64) -> Option<Place> {
    let columns = sizes[0];
    let rows = sizes[1..].iter().try_fold(1_u64, |product, size| product.checked_mul(*size))?;
    let (numbers, bytes) = kind.block();
    let row = (columns / numbers as u64).checked_mul(bytes as u64)?;
    let bytes = row.checked_mul(rows)?;
    let offset = begin.checked_add(offset)?;
    let fits = columns.is_multiple_of(numbers as u64) && bytes > 0 && offset.checked_add(bytes)? <= length;
    fits.then_some(Place { kind, rows: rows as usize, columns: columns as usize, offset, bytes: bytes as usize })
}

struct Reader<'a> {
    file: BufReader<File>,
    at: u64,
    length: u64,
    path: &'a Path,
}

impl Reader<'_> {
    fn bad(&self, what: impl Into<String>) -> Error {
        Error::BadModel { path: self.path.to_owned(), what: what.into() }
    }

    /// Fails before anything is set aside for what the file does not have.
    fn expect(&self, bytes: u64) -> Result<()> {
        if self.length - self.at < bytes {
            return Err(
                self.bad(format!("it ends at byte {} in the middle of its header: it may have been cut", self.length))
            );
        }
        Ok(())
    }

    fn bytes<const N: usize>(&mut self) -> Result<[u8; N]> {
        self.expect(N as u64)?;
        let mut bytes = [0; N];
        self.file.read_exact(&mut bytes)?;
        self.at += N as u64;
        Ok(bytes)
    }

    fn u32(&mut self) -> Result<u32> {
        Ok(u32::from_le_bytes(self.bytes()?))
    }

    fn u64(&mut self) -> Result<u64> {
        Ok(u64::from_le_bytes(self.bytes()?))
    }

    fn text(&mut self) -> Result<String> {
        let length = self.u64()?;
        self.expect(length)?;
        let mut bytes = vec![0; length as usize];
        self.file.read_exact(&mut bytes)?;
        self.at += length;
        String::from_utf8(bytes).map_err(|_| self.bad(format!("the text before byte {} is not UTF-8", self.at)))
    }

    fn value(&mut self, kind: u32, depth: u32) -> Result<Value> {
        Ok(match kind {
            0 => Value::Whole(u8::from_le_bytes(self.bytes()?).into()),
            1 => Value::Whole(i8::from_le_bytes(self.bytes()?).into()),
            2 => Value::Whole(u16::from_le_bytes(self.bytes()?).into()),
            3 => Value::Whole(i16::from_le_bytes(self.bytes()?).into()),
            4 => Value::Whole(self.u32()?.into()),
            5 => Value::Whole(i32::from_le_bytes(self.bytes()?).into()),
            6 => Value::Real(f32::from_le_bytes(self.bytes()?).into()),
            7 => Value::Flag(self.bytes::<1>()? != [0]),
            8 => Value::Text(self.text()?),
            9 if depth < 4 => {
                let (kind, count) = (self.u32()?, self.u64()?);
                // Every item has a byte at least.
                self.expect(count)?;
                let mut list = Vec::new();
                for _ in 0..count {
                    list.push(self.value(kind, depth + 1)?);
                }
                Value::List(list)
            }
            10 => Value::Whole(self.u64()?.into()),
            11 => Value::Whole(i64::from_le_bytes(self.bytes()?).into()),
            12 => Value::Real(f64::from_le_bytes(self.bytes()?)),
            other => return Err(self.bad(format!("its metadata has a value of the unknown type {other}"))),
        })
    }
}
