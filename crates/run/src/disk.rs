//! The few file operations that run folders are made of. Each names its file in errors, and each is a point at which a test can
//! let the disk be full or the process or the power vanish.

use fs_err::File;
use std::io::{self, Write};
use std::path::Path;

#[cfg(not(test))]
mod fault {
    use std::io;
    use std::path::Path;

    /// Nothing happens outside tests.
    #[inline]
    #[expect(clippy::unnecessary_wraps, reason = "the version for tests fails")]
    pub fn point(_: &str, _: &Path) -> io::Result<()> {
        Ok(())
    }
}

pub fn create_dir(path: &Path) -> io::Result<()> {
    fault::point("create folder", path)?;
    fs_err::create_dir(path)
}

/// Writes a file that must not exist, down to the disk.
pub fn write_new(path: &Path, bytes: &[u8]) -> io::Result<()> {
    fault::point("create", path)?;
    let mut file = File::create_new(path)?;
    // A disk fills up, and a process dies, in the middle of a file.
    let (head, tail) = bytes.split_at(bytes.len() / 2);
    file.write_all(head)?;
    fault::point("write", path)?;
    file.write_all(tail)?;
    fault::point("sync", path)?;
    file.sync_all()
}

/// Replaces a small file at once: after an error, or a crash at any point, the old one is whole.
pub fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let scratch = path.with_file_name(format!(".{name}.{}", std::process::id()));
    if scratch.exists() {
        // Left behind by a process that died, under a number that was given again.
        remove_file(&scratch)?;
    }
    let result = write_new(&scratch, bytes).and_then(|()| rename(&scratch, path));
    if result.is_err() {
        // The error that matters is the first one.
        let _ = remove_file(&scratch);
    }
    result.and_then(|()| path.parent().map_or(Ok(()), sync_dir))
}

/// Appends to an open file.
pub fn append(file: &mut File, bytes: &[u8]) -> io::Result<()> {
    let path = file.path().to_owned();
    let (head, tail) = bytes.split_at(bytes.len() / 2);
    file.write_all(head)?;
    fault::point("append", &path)?;
    file.write_all(tail)
}

/// A second name for a file that will never change.
pub fn link(from: &Path, to: &Path) -> io::Result<()> {
    fault::point("link", to)?;
    fs_err::hard_link(from, to)
}

pub fn rename(from: &Path, to: &Path) -> io::Result<()> {
    fault::point("rename", to)?;
    fs_err::rename(from, to)
}

/// Makes the names in a folder last.
pub fn sync_dir(path: &Path) -> io::Result<()> {
    fault::point("sync folder", path)?;
    let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
    File::open(path)?.sync_all()
}

pub fn remove_file(path: &Path) -> io::Result<()> {
    fault::point("remove", path)?;
    fs_err::remove_file(path)
}

pub fn remove_dir_all(path: &Path) -> io::Result<()> {
    fault::point("remove folder", path)?;
    fs_err::remove_dir_all(path)
}

#[cfg(test)]
pub(crate) mod fault {
    use std::cell::RefCell;
    use std::io;
    use std::path::{Path, PathBuf};

    /// What happens at the chosen point.
    #[derive(Clone, Copy, Debug, PartialEq)]
    pub enum Fault {
        /// The disk is full for this one operation.
        Full,
        /// The disk is full from here on; removing works.
        StaysFull,
        /// The process is gone: nothing happens any more.
        Kill,
        /// The power is gone: as [`Fault::Kill`], and files that were not synced lose half of what they had.
        PowerCut,
    }

    #[derive(Default)]
    struct Plan {
        fault: Option<(Fault, usize)>,
        passed: usize,
        unsynced: Vec<PathBuf>,
    }

    thread_local! {
        static PLAN: RefCell<Plan> = RefCell::default();
    }

    /// Runs `work` with `fault` at its `at`-th file operation (from 0). The second value tells whether it came so far.
    pub fn with<T>(fault: Fault, at: usize, work: impl FnOnce() -> T) -> (T, bool) {
        PLAN.set(Plan { fault: Some((fault, at)), ..Plan::default() });
        let result = work();
        (result, PLAN.take().passed > at)
    }

    /// Called before each operation (for a write: in its middle).
    pub fn point(operation: &str, path: &Path) -> io::Result<()> {
        PLAN.with_borrow_mut(|plan| {
            let Some((fault, at)) = plan.fault else { return Ok(()) };
            let now = plan.passed;
            plan.passed += 1;
            let writes = !operation.starts_with("remove");
            let strikes = match fault {
                Fault::Full => now == at,
                Fault::StaysFull => now >= at && writes,
                Fault::Kill | Fault::PowerCut => now >= at,
            };
            match operation {
                "create" => plan.unsynced.push(path.to_owned()),
                "sync" if !strikes => plan.unsynced.retain(|file| file != path),
                _ => {}
            }
            if !strikes {
                return Ok(());
            }
            if fault == Fault::PowerCut && now == at {
                for file in plan.unsynced.drain(..).filter(|file| file.exists()) {
                    let file = std::fs::File::options().write(true).open(file)?;
                    file.set_len(file.metadata()?.len() / 2)?;
                }
            }
            let kind = io::ErrorKind::StorageFull;
            Err(io::Error::new(kind, format!("failed to {operation} `{}`: {kind}", path.display())))
        })
    }
}
