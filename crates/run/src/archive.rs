use crate::{Error, Result};
use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, View};
use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::path::Path;

/// The one key of the file's metadata; it holds all notes as a JSON object. The format keeps its metadata in no order, so more
/// than one key would make the bytes depend on chance.
const NOTES: &str = "tony";

/// Named tensors and short notes, stored as a [safetensors](https://huggingface.co/docs/safetensors) file.
///
/// Equal archives have equal bytes. Each getter checks name, type and shape and says what it expected and what it found.
#[derive(Clone, Debug, Default)]
pub struct Archive {
    tensors: BTreeMap<String, Tensor>,
    notes: BTreeMap<String, String>,
    /// Named in errors.
    origin: String,
}

impl PartialEq for Archive {
    fn eq(&self, other: &Self) -> bool {
        (&self.tensors, &self.notes) == (&other.tensors, &other.notes)
    }
}

#[derive(Clone, Debug, PartialEq)]
struct Tensor {
    dtype: Dtype,
    shape: Vec<usize>,
    /// Little-endian.
    bytes: Vec<u8>,
}

impl View for &Tensor {
    fn dtype(&self) -> Dtype {
        self.dtype
    }

    fn shape(&self) -> &[usize] {
        &self.shape
    }

    fn data(&self) -> Cow<'_, [u8]> {
        Cow::Borrowed(&self.bytes)
    }

    fn data_len(&self) -> usize {
        self.bytes.len()
    }
}

impl Archive {
    /// An empty archive.
    pub fn new() -> Self {
        Self::default()
    }

    /// Stores `values` (row-major). Storing under a name again replaces. Error: the shape does not have as many elements.
    pub fn put_f32(&mut self, name: &str, shape: &[usize], values: &[f32]) -> Result<()> {
        self.put(name, Dtype::F32, shape, values.len(), values.iter().flat_map(|v| v.to_le_bytes()).collect())
    }

    /// As [`Archive::put_f32`].
    pub fn put_f64(&mut self, name: &str, shape: &[usize], values: &[f64]) -> Result<()> {
        self.put(name, Dtype::F64, shape, values.len(), values.iter().flat_map(|v| v.to_le_bytes()).collect())
    }

    /// As [`Archive::put_f32`].
    pub fn put_u64(&mut self, name: &str, shape: &[usize], values: &[u64]) -> Result<()> {
        self.put(name, Dtype::U64, shape, values.len(), values.iter().flat_map(|v| v.to_le_bytes()).collect())
    }

    /// Stores bytes as a vector of `u8`.
    pub fn put_bytes(&mut self, name: &str, bytes: &[u8]) -> Result<()> {
        self.put(name, Dtype::U8, &[bytes.len()], bytes.len(), bytes.to_vec())
    }

    fn put(&mut self, name: &str, dtype: Dtype, shape: &[usize], len: usize, bytes: Vec<u8>) -> Result<()> {
        // The format keeps its metadata under this name.
        if name == "__metadata__" {
            return Err(Error::Invalid("a tensor cannot be called `__metadata__`".into()));
        }
        if shape.iter().try_fold(1_usize, |product, n| product.checked_mul(*n)) != Some(len) {
            return Err(Error::Invalid(format!("tensor `{name}`: shape {shape:?} does not hold {len} values")));
        }
        self.tensors.insert(name.to_owned(), Tensor { dtype, shape: shape.to_vec(), bytes });
        Ok(())
    }

    /// The values of a tensor of exactly this shape.
    pub fn f32(&self, name: &str, shape: &[usize]) -> Result<Vec<f32>> {
        let bytes = self.bytes_of(name, Dtype::F32, Some(shape))?;
        Ok(bytes.as_chunks().0.iter().map(|chunk| f32::from_le_bytes(*chunk)).collect())
    }

    /// As [`Archive::f32`].
    pub fn f64(&self, name: &str, shape: &[usize]) -> Result<Vec<f64>> {
        let bytes = self.bytes_of(name, Dtype::F64, Some(shape))?;
        Ok(bytes.as_chunks().0.iter().map(|chunk| f64::from_le_bytes(*chunk)).collect())
    }

    /// As [`Archive::f32`].
    pub fn u64(&self, name: &str, shape: &[usize]) -> Result<Vec<u64>> {
        let bytes = self.bytes_of(name, Dtype::U64, Some(shape))?;
        Ok(bytes.as_chunks().0.iter().map(|chunk| u64::from_le_bytes(*chunk)).collect())
    }

    /// Bytes, however many.
    pub fn bytes(&self, name: &str) -> Result<&[u8]> {
        self.bytes_of(name, Dtype::U8, None)
    }

    fn bytes_of(&self, name: &str, dtype: Dtype, shape: Option<&[usize]>) -> Result<&[u8]> {
        let tensor = self.tensors.get(name);
        match tensor {
            Some(tensor) if tensor.dtype == dtype && shape.is_none_or(|shape| shape == tensor.shape) => {
                Ok(&tensor.bytes)
            }
            _ => Err(Error::Tensor {
                name: name.to_owned(),
                origin: self.origin().to_owned(),
                expected: format!("{dtype} {}", shape.map_or_else(|| "of any length".into(), |s| format!("{s:?}"))),
                found: tensor.map_or_else(|| "missing".into(), |t| format!("{} {:?}", t.dtype, t.shape)),
            }),
        }
    }

    /// A tensor's shape, or nothing where there is no such tensor.
    pub fn shape(&self, name: &str) -> Option<&[usize]> {
        self.tensors.get(name).map(|tensor| tensor.shape.as_slice())
    }

    /// Names of all tensors, sorted.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.tensors.keys().map(String::as_str)
    }

    /// Stores a short text in the header.
    pub fn set_note(&mut self, key: &str, text: &str) {
        self.notes.insert(key.to_owned(), text.to_owned());
    }

    /// A note, or nothing where there is none.
    pub fn note(&self, key: &str) -> Option<&str> {
        self.notes.get(key).map(String::as_str)
    }

    /// A note that must be there.
    pub fn need_note(&self, key: &str) -> Result<&str> {
        self.note(key).ok_or_else(|| Error::Note { key: key.to_owned(), origin: self.origin().to_owned() })
    }

    /// The file that it was read from.
    pub fn origin(&self) -> &str {
        if self.origin.is_empty() { "the archive in memory" } else { &self.origin }
    }

    /// The bytes of a safetensors file. Equal archives give equal bytes.
    pub fn to_bytes(&self) -> Result<Vec<u8>> {
        let invalid = |reason: String| Error::Invalid(format!("tensors cannot be stored: {reason}"));
        let notes = serde_json::to_string(&self.notes).map_err(|error| invalid(error.to_string()))?;
        let metadata = (!self.notes.is_empty()).then(|| HashMap::from([(NOTES.to_owned(), notes)]));
        safetensors::serialize(&self.tensors, metadata).map_err(|error| invalid(error.to_string()))
    }

    /// Reads the bytes of a safetensors file; `path` is named in errors. What the header claims is checked against the number
    /// of bytes before anything is allocated for it.
    pub fn from_bytes(bytes: &[u8], path: &Path) -> Result<Self> {
        let bad = |reason: String| Error::Damaged { path: path.to_owned(), reason };
        let broken = |error: safetensors::SafeTensorError| bad(format!("not a whole safetensors file: {error}"));
        let (_, header) = SafeTensors::read_metadata(bytes).map_err(broken)?;
        let notes = match header.metadata().as_ref().and_then(|metadata| metadata.get(NOTES)) {
            Some(notes) => serde_json::from_str(notes).map_err(|error| bad(format!("broken notes: {error}")))?,
            None => BTreeMap::new(),
        };
        let file = SafeTensors::deserialize(bytes).map_err(broken)?;
        let own = |(name, view): (&str, safetensors::tensor::TensorView<'_>)| {
            let tensor = Tensor { dtype: view.dtype(), shape: view.shape().to_vec(), bytes: view.data().to_vec() };
            (name.to_owned(), tensor)
        };
        Ok(Self { tensors: file.iter().map(own).collect(), notes, origin: path.display().to_string() })
    }

    /// Writes a safetensors file at once: after an error, or a crash at any point, what was there before is whole.
    pub fn write(&self, path: &Path) -> Result<()> {
        Ok(crate::disk::replace(path, &self.to_bytes()?)?)
    }

    /// Reads a safetensors file.
    pub fn read(path: &Path) -> Result<Self> {
        Self::from_bytes(&fs_err::read(path)?, path)
    }
}

#[cfg(test)]
mod tests {
    use super::Archive;
    use std::path::Path;

    fn example() -> Archive {
        let mut archive = Archive::new();
        archive.put_f32("policy.0.weight", &[2, 3], &[1.0, -0.0, f32::MIN_POSITIVE, 3.5, 1e-45, f32::MAX]).unwrap();
        archive.put_f64("normaliser", &[2], &[0.1, -1e300]).unwrap();
        archive.put_u64("positions", &[3], &[0, 1, u64::MAX]).unwrap();
        archive.put_bytes("env.0", b"\x00\xff state").unwrap();
        archive.put_f32("empty", &[0, 4], &[]).unwrap();
        archive.put_f64("scalar", &[], &[7.0]).unwrap();
        for key in ["algorithm", "env", "z", "a"] {
            archive.set_note(key, &format!("{key}: \"quoted\" \n é"));
        }
        archive
    }

    fn read(bytes: &[u8]) -> crate::Result<Archive> {
        Archive::from_bytes(bytes, Path::new("policy.safetensors"))
    }

    #[test]
    fn what_was_stored_reads_back_bit_for_bit() {
        let archive = example();
        let again = read(&archive.to_bytes().unwrap()).unwrap();
        assert_eq!(again, archive);
        let weights = again.f32("policy.0.weight", &[2, 3]).unwrap();
        assert_eq!(weights[1].to_bits(), (-0.0_f32).to_bits());
        assert_eq!(weights[4], 1e-45);
        assert_eq!(again.f64("normaliser", &[2]).unwrap(), [0.1, -1e300]);
        assert_eq!(again.u64("positions", &[3]).unwrap(), [0, 1, u64::MAX]);
        assert_eq!(again.bytes("env.0").unwrap(), b"\x00\xff state");
        assert_eq!(again.f32("empty", &[0, 4]).unwrap(), [] as [f32; 0]);
        assert_eq!(again.f64("scalar", &[]).unwrap(), [7.0]);
        assert_eq!(again.need_note("env").unwrap(), "env: \"quoted\" \n é");
        assert_eq!(again.names().count(), 6);
        assert_eq!(read(&Archive::new().to_bytes().unwrap()).unwrap(), Archive::new());
    }

    #[test]
    fn equal_archives_have_equal_bytes() {
        let bytes = example().to_bytes().unwrap();
        // Each archive is built anew: an order that hangs on a hash seed would show.
        assert!((0..20).all(|_| example().to_bytes().unwrap() == bytes));
    }

    #[test]
    fn another_name_type_or_shape_is_named() {
        let archive = read(&example().to_bytes().unwrap()).unwrap();
        let message = |result: crate::Result<Vec<f32>>| result.unwrap_err().to_string();
        assert_eq!(
            message(archive.f32("policy.0.weight", &[2, 4])),
            "tensor `policy.0.weight` of policy.safetensors is F32 [2, 3], but F32 [2, 4] is needed"
        );
        assert_eq!(
            message(archive.f32("normaliser", &[2])),
            "tensor `normaliser` of policy.safetensors is F64 [2], but F32 [2] is needed"
        );
        assert_eq!(
            message(archive.f32("policy.1.weight", &[1])),
            "tensor `policy.1.weight` of policy.safetensors is missing, but F32 [1] is needed"
        );
        assert!(archive.bytes("normaliser").unwrap_err().to_string().ends_with("but U8 of any length is needed"));
        assert_eq!(archive.need_note("seed").unwrap_err().to_string(), "note `seed` of policy.safetensors is missing");
    }

    #[test]
    fn a_shape_must_hold_the_values() {
        let mut archive = Archive::new();
        assert!(archive.put_f32("a", &[2, 2], &[0.0; 3]).is_err());
        assert!(archive.put_f32("a", &[usize::MAX, 2], &[]).is_err());
        assert!(archive.put_f32("__metadata__", &[1], &[0.0]).is_err());
        assert_eq!(archive, Archive::new());
    }

    #[test]
    fn hostile_files_are_refused_without_allocating_what_they_claim() {
        let good = example().to_bytes().unwrap();
        for length in 0..good.len() {
            assert!(read(&good[..length]).is_err(), "cut to {length} bytes");
        }
        assert!(read(&[&good[..], b"x"].concat()).is_err(), "a byte too many");

        let file = |header: &str| [&(header.len() as u64).to_le_bytes()[..], header.as_bytes()].concat();
        let claims = [
            // 100 GB of tensor; a shape that overflows; data that overlaps, that has a hole, that goes backwards.
            r#"{"a":{"dtype":"F32","shape":[25000000000],"data_offsets":[0,100000000000]}}"#.to_owned(),
            r#"{"a":{"dtype":"F64","shape":[4294967296,4294967296],"data_offsets":[0,8]}}"#.to_owned(),
            r#"{"a":{"dtype":"U8","shape":[0],"data_offsets":[9,9]}}"#.to_owned(),
            r#"{"a":{"dtype":"U8","shape":[2],"data_offsets":[2,0]}}"#.to_owned(),
            r#"{"a":{"dtype":"F99","shape":[0],"data_offsets":[0,0]}}"#.to_owned(),
            r#"{"__metadata__":{"tony":"{"}}"#.to_owned(),
            r#"{"__metadata__":{"tony":["a"]}}"#.to_owned(),
            "[".repeat(1_000_000),
            format!("{{\"__metadata__\":{{\"tony\":\"{}\"}}}}", "[".repeat(1_000_000)),
        ];
        for header in claims {
            let error = read(&file(&header)).unwrap_err().to_string();
            assert!(error.starts_with("policy.safetensors: "), "{error}");
        }
        // A header of 100 GB, of 2^64 - 1 bytes.
        for length in [100_000_000_000, u64::MAX] {
            assert!(read(&length.to_le_bytes()).is_err());
        }
    }
}
