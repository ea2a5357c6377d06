//! What weights a result came from.

use std::io::Read;
use std::path::Path;

use sha2::{Digest as _, Sha256};

use crate::Result;

/// SHA-256 of a file, or of the names and contents of those files of a folder that make a model: JSON, weights, templates.
pub(crate) fn sha256(path: &Path) -> Result<String> {
    let mut hash = Sha256::new();
    if fs_err::metadata(path)?.is_dir() {
        let mut files = fs_err::read_dir(path)?.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
        let part = |path: &Path| path.extension().is_some_and(|e| e == "json" || e == "safetensors" || e == "jinja");
        files.retain(|file| part(file));
        files.sort();
        for file in files {
            let name = file.file_name().unwrap_or_default().as_encoded_bytes();
            hash.update((name.len() as u64).to_le_bytes());
            hash.update(name);
            hash.update(fs_err::metadata(&file)?.len().to_le_bytes());
            add(&file, &mut hash)?;
        }
    } else {
        add(path, &mut hash)?;
    }
    Ok(hex(hash))
}

/// A finished hash as text.
pub(crate) fn hex(hash: Sha256) -> String {
    hash.finalize().iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
}

fn add(path: &Path, hash: &mut Sha256) -> Result<()> {
    let (mut file, mut buffer) = (fs_err::File::open(path)?, vec![0; 1 << 18]);
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(()),
            count => hash.update(&buffer[..count]),
        }
    }
}
