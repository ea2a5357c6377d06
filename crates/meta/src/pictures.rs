//! Pictures of characters, from a folder, a zip file or a tar file: read into memory, never unpacked to disk.
//!
//! Pictures of one folder are of one class. Everything is held to what Omniglot is: PNG, all of one size, square. What is not is an error that
//! names the file: a class that silently misses a drawing is another data set. A path in an archive that leads out of it, or a link, is
//! refused although nothing is written: an archive that has one is not to be trusted with the rest.

use std::collections::BTreeMap;
use std::io::{self, Cursor, Read, Seek};
use std::path::{Component, Path, PathBuf};

use flate2::read::GzDecoder;

use crate::{Error, Result};

/// Side of the pictures that are learned from.
pub const SIDE: usize = 28;
/// Pixels of a picture that is learned from.
pub const PIXELS: usize = SIDE * SIDE;
/// The largest file that is read as a picture; Omniglot's have some 200 bytes.
const LARGEST_FILE: u64 = 1 << 20;
/// The longest side that a picture may have.
const LARGEST_SIDE: u32 = 2048;
/// Omniglot's two halves, which a folder holds as folders or archives.
const HALVES: [&str; 2] = ["images_background", "images_evaluation"];

/// Drawings of one character, each [`PIXELS`] numbers: 1 is paper, 0 is ink.
#[derive(Clone, Debug, PartialEq)]
pub struct Class {
    /// Path of its folder, for example `images_background/Greek/character01`.
    pub name: String,
    /// The drawings, in the order of their names.
    pub drawings: Vec<Vec<u8>>,
}

/// Where pictures are looked for when no path is given.
pub const PLACES: [&str; 2] = ["data/omniglot", "omniglot"];
/// The environment variable that comes before them.
pub const VARIABLE: &str = "TONY_OMNIGLOT";

/// The place that `data=auto` means: the first of [`VARIABLE`] and [`PLACES`] that is there.
pub fn locate() -> Result<PathBuf> {
    let told = std::env::var_os(VARIABLE).map(PathBuf::from);
    if let Some(path) = told {
        return Ok(path);
    }
    PLACES.iter().map(PathBuf::from).find(|path| path.exists()).ok_or_else(|| Error::NoData {
        looked: std::iter::once(format!("${VARIABLE}")).chain(PLACES.iter().map(|p| (*p).to_owned())).collect(),
    })
}

/// Read every class below `path`: a folder that holds Omniglot's halves, any other folder of folders of pictures, or one archive (`.zip`,
/// `.tar`, `.tar.gz`, `.tgz`).
pub fn read(path: &Path) -> Result<Vec<Class>> {
    let mut found = Found::default();
    if !path.exists() {
        return Err(Error::NoData { looked: vec![path.display().to_string()] });
    }
    if path.is_dir() {
        let halves: Vec<PathBuf> = HALVES.iter().filter_map(|half| half_of(path, half)).collect();
        if halves.is_empty() {
            found.folder(path, path)?;
        }
        for half in &halves {
            if half.is_dir() { found.folder(path, half)? } else { found.archive(half)? }
        }
    } else {
        found.archive(path)?;
    }
    if found.classes.is_empty() {
        return Err(bad(path, "no folder of PNG pictures is in it"));
    }
    Ok(found.finish())
}

/// A half of Omniglot in a folder: unpacked, or as one of the archives that it comes in.
fn half_of(folder: &Path, half: &str) -> Option<PathBuf> {
    ["", ".zip", ".tar.gz", ".tgz", ".tar"].iter().map(|end| folder.join(format!("{half}{end}"))).find(|p| p.exists())
}

fn bad(place: impl Into<PathBuf>, reason: impl Into<String>) -> Error {
    Error::BadPicture { place: place.into(), reason: reason.into() }
}

/// What was read so far: by class, then by file name, so that no order of files in an archive matters.
#[derive(Default)]
struct Found {
    classes: BTreeMap<String, BTreeMap<String, Vec<u8>>>,
    side: Option<u32>,
}

impl Found {
    fn folder(&mut self, top: &Path, folder: &Path) -> Result<()> {
        for entry in fs_err::read_dir(folder)? {
            let entry = entry?;
            let (path, kind) = (entry.path(), entry.file_type()?);
            if kind.is_symlink() {
                return Err(bad(path, "is a link, which may lead out of the folder"));
            }
            if kind.is_dir() {
                self.folder(top, &path)?;
            } else if is_picture(&path) {
                let mut bytes = Vec::new();
                fs_err::File::open(&path)?.take(LARGEST_FILE + 1).read_to_end(&mut bytes)?;
                let inside = path.strip_prefix(top).unwrap_or(&path).to_owned();
                self.picture(&path, &inside, &bytes)?;
            }
        }
        Ok(())
    }

    fn archive(&mut self, path: &Path) -> Result<()> {
        let name = path.file_name().unwrap_or_default().to_string_lossy().to_lowercase();
        let file = io::BufReader::new(fs_err::File::open(path)?);
        let ends = |endings: &[&str]| endings.iter().any(|ending| name.ends_with(ending));
        if ends(&[".zip"]) {
            self.zip(path, file)
        } else if ends(&[".tar.gz", ".tgz"]) {
            self.tar(path, GzDecoder::new(file))
        } else if ends(&[".tar"]) {
            self.tar(path, file)
        } else {
            Err(bad(path, "is no folder and none of .zip, .tar, .tar.gz, .tgz"))
        }
    }

    fn zip(&mut self, path: &Path, file: impl Read + Seek) -> Result<()> {
        let broken = |error: zip::result::ZipError| bad(path, format!("broken archive: {error}"));
        let mut archive = zip::ZipArchive::new(file).map_err(broken)?;
        for i in 0..archive.len() {
            let entry = archive.by_index(i).map_err(broken)?;
            let inside = PathBuf::from(entry.name().map_err(broken)?.replace('\\', "/"));
            let place = path.join(&inside);
            stays_inside(path, &inside)?;
            if entry.is_symlink() {
                return Err(bad(place, "is a link, which may lead out of the archive"));
            }
            if entry.is_dir() || !is_picture(&inside) {
                continue;
            }
            let mut bytes = Vec::new();
            entry
                .take(LARGEST_FILE + 1)
                .read_to_end(&mut bytes)
                .map_err(|error| bad(&place, format!("cannot be unpacked: {error}")))?;
            self.picture(&place, &inside, &bytes)?;
        }
        Ok(())
    }

    fn tar(&mut self, path: &Path, file: impl Read) -> Result<()> {
        let broken = |error: io::Error| bad(path, format!("broken archive: {error}"));
        let mut archive = tar::Archive::new(file);
        for entry in archive.entries().map_err(broken)? {
            let entry = entry.map_err(broken)?;
            let inside = entry.path().map_err(broken)?.into_owned();
            let place = path.join(&inside);
            stays_inside(path, &inside)?;
            let kind = entry.header().entry_type();
            if kind.is_symlink() || kind.is_hard_link() {
                return Err(bad(place, "is a link, which may lead out of the archive"));
            }
            if !kind.is_file() || !is_picture(&inside) {
                continue;
            }
            let mut bytes = Vec::new();
            entry.take(LARGEST_FILE + 1).read_to_end(&mut bytes).map_err(broken)?;
            self.picture(&place, &inside, &bytes)?;
        }
        Ok(())
    }

    fn picture(&mut self, place: &Path, inside: &Path, bytes: &[u8]) -> Result<()> {
        let text = |path: Option<&Path>| path.unwrap_or(Path::new("")).to_string_lossy().replace('\\', "/");
        let class = text(inside.parent()).trim_start_matches("./").to_owned();
        if class.is_empty() {
            return Err(bad(place, "lies in no folder, so its class is unknown"));
        }
        if bytes.is_empty() {
            return Err(bad(place, "is empty"));
        }
        if bytes.len() as u64 > LARGEST_FILE {
            return Err(bad(place, format!("has more than {LARGEST_FILE} bytes, which no drawing has")));
        }
        let (side, paper) = decode(bytes).map_err(|reason| bad(place, reason))?;
        let first = *self.side.get_or_insert(side);
        if side != first {
            return Err(bad(
                place,
                format!("is {side} x {side} pixels where the pictures before it are {first} x {first}"),
            ));
        }
        let name = text(inside.file_name().map(Path::new));
        if self.classes.entry(class).or_default().insert(name, shrink(&paper, side as usize)).is_some() {
            return Err(bad(place, "is there twice"));
        }
        Ok(())
    }

    fn finish(self) -> Vec<Class> {
        let class = |(name, drawings): (String, BTreeMap<String, Vec<u8>>)| Class {
            name,
            drawings: drawings.into_values().collect(),
        };
        self.classes.into_iter().map(class).collect()
    }
}

fn is_picture(path: &Path) -> bool {
    let hidden = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'));
    !hidden && path.extension().is_some_and(|end| end.eq_ignore_ascii_case("png"))
}

/// No `..`, no root, no drive.
fn stays_inside(archive: &Path, inside: &Path) -> Result<()> {
    if inside.components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir)) {
        return Ok(());
    }
    Err(bad(archive, format!("the path `{}` in it leads out of the archive", inside.display())))
}

/// A square picture as its side and one number a pixel: 1 is paper (light), 0 is ink.
fn decode(bytes: &[u8]) -> std::result::Result<(u32, Vec<u8>), String> {
    let broken = |error: png::DecodingError| format!("is no PNG picture: {error}");
    let mut decoder = png::Decoder::new(Cursor::new(bytes));
    decoder.set_transformations(png::Transformations::normalize_to_color8());
    let mut reader = decoder.read_info().map_err(broken)?;
    let (width, height) = (reader.info().width, reader.info().height);
    if width != height {
        return Err(format!("is {width} x {height} pixels; drawings are square"));
    }
    if width > LARGEST_SIDE {
        return Err(format!("is {width} x {height} pixels, which no drawing is"));
    }
    let size = reader.output_buffer_size().ok_or("is no PNG picture: its size overflows")?;
    let mut pixels = vec![0; size];
    let frame = reader.next_frame(&mut pixels).map_err(broken)?;
    let samples = frame.color_type.samples();
    // Colours count as their mean; transparency is passed over.
    let colours = if samples >= 3 { 3 } else { 1 };
    let light = |pixel: &[u8]| {
        let sum: u32 = pixel[..colours].iter().map(|c| u32::from(*c)).sum();
        u8::from(sum >= 128 * colours as u32)
    };
    Ok((width, pixels[..frame.buffer_size()].chunks_exact(samples).map(light).collect()))
}

/// To [`SIDE`] by the nearest pixel.
fn shrink(paper: &[u8], side: usize) -> Vec<u8> {
    let nearest = |i: usize| (2 * i + 1) * side / (2 * SIDE);
    (0..PIXELS).map(|i| paper[nearest(i / SIDE) * side + nearest(i % SIDE)]).collect()
}

/// Turned by `quarters` of a whole turn, against the clock.
pub fn turned(drawing: &[u8], quarters: usize) -> impl Iterator<Item = u8> + '_ {
    let last = SIDE - 1;
    (0..PIXELS).map(move |i| {
        let (y, x) = (i / SIDE, i % SIDE);
        let (y, x) = match quarters % 4 {
            0 => (y, x),
            1 => (x, last - y),
            2 => (last - y, last - x),
            _ => (last - x, y),
        };
        drawing[y * SIDE + x]
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn four_quarters_are_a_whole_turn_and_a_quarter_is_against_the_clock() {
        let drawing: Vec<u8> = (0..PIXELS).map(|i| (i % 251) as u8).collect();
        let mut turning = drawing.clone();
        for _ in 0..4 {
            turning = turned(&turning, 1).collect();
        }
        assert_eq!(turning, drawing);
        // The upper right corner comes to the upper left.
        assert_eq!(turned(&drawing, 1).next(), Some(drawing[SIDE - 1]));
        let twice: Vec<u8> = turned(&turned(&drawing, 1).collect::<Vec<_>>(), 1).collect();
        assert_eq!(twice, turned(&drawing, 2).collect::<Vec<_>>());
        let thrice: Vec<u8> = turned(&twice, 1).collect();
        assert_eq!(thrice, turned(&drawing, 3).collect::<Vec<_>>());
    }

    #[test]
    fn shrinking_takes_the_nearest_pixel() {
        // 105 to 28: pixel i comes from floor((i + 1/2) * 3.75).
        let paper: Vec<u8> = (0..105 * 105).map(|i| (i % 105) as u8).collect();
        let small = shrink(&paper, 105);
        assert_eq!(small[..4], [1, 5, 9, 13]);
        assert_eq!(small[27], 103);
    }
}
