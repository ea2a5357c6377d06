//! Pictures of pixels over time, in a few hundred bytes each: what changed, packed.
//!
//! ```text
//! {"width":160, "height":210, "palette":"AAAA...", "data":"eJyt..."}
//! ```
//!
//! Both texts are base64. `palette` holds red, green and blue of each colour number. `data` is zlib's format of, for each frame, how many
//! runs of pixels changed since the frame before (at first: since all were 0), and for each run how many pixels to pass over since the
//! end of the last one, its length, and its colour numbers. Counts are written in seven bits a byte, the lowest first; a byte from 128 on
//! has a successor.

use std::io::{Read, Write};

use flate2::Compression;
use flate2::read::ZlibDecoder;
use flate2::write::ZlibEncoder;
use serde::{Deserialize, Serialize};

use crate::frame::Picture;
use crate::{Error, Result};

/// Pixels between two changed ones that do not end a run: passing over them takes more.
const GAP: usize = 3;
/// Pixels of a frame, at most.
const MOST: usize = 1 << 22;

/// Pictures while they are made.
#[derive(Clone, Debug, Default)]
pub(crate) struct Film {
    last: Picture,
    changes: Vec<u8>,
}

/// Pictures as they are kept.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Track {
    width: usize,
    height: usize,
    palette: String,
    data: String,
}

impl Film {
    /// Add the next picture. A frame without one, or with one of another size than the first, shows the last one.
    pub(crate) fn add(&mut self, picture: Option<&Picture>) {
        let Some(picture) = picture else { return put(&mut self.changes, 0) };
        if self.last.pixels.is_empty() {
            self.last = Picture { pixels: vec![0; picture.pixels.len()], ..picture.clone() };
        }
        let (new, old) = (&picture.pixels, &mut self.last.pixels);
        if new.len() != old.len() {
            return put(&mut self.changes, 0);
        }
        for (known, seen) in self.last.palette.iter_mut().zip(&picture.palette).filter(|(_, seen)| **seen != [0; 3]) {
            *known = *seen;
        }
        let mut runs: Vec<[usize; 2]> = Vec::new();
        for i in (0..new.len()).filter(|&i| new[i] != old[i]) {
            match runs.last_mut() {
                Some(run) if i - run[1] < GAP => run[1] = i + 1,
                _ => runs.push([i, i + 1]),
            }
        }
        put(&mut self.changes, runs.len());
        let mut end = 0;
        for [from, to] in runs {
            put(&mut self.changes, from - end);
            put(&mut self.changes, to - from);
            self.changes.extend_from_slice(&new[from..to]);
            end = to;
        }
        old.copy_from_slice(new);
    }

    /// All pictures; `None` where there was none.
    pub(crate) fn finish(self) -> Option<Track> {
        let Picture { width, height, palette, pixels } = self.last;
        if pixels.is_empty() {
            return None;
        }
        let mut packed = ZlibEncoder::new(Vec::new(), Compression::best());
        packed.write_all(&self.changes).ok()?;
        Some(Track { width, height, palette: base64(&palette.concat()), data: base64(&packed.finish().ok()?) })
    }
}

impl Track {
    /// So many frames' pictures; fails where they are not all there.
    pub(crate) fn pictures(&self, frames: usize) -> Result<Vec<Picture>> {
        self.read(frames).ok_or_else(|| Error::BadRecording { reason: "its pictures are damaged".to_owned() })
    }

    fn read(&self, frames: usize) -> Option<Vec<Picture>> {
        let size = self.width.checked_mul(self.height).filter(|size| *size <= MOST)?;
        let palette = from_base64(&self.palette)?.chunks_exact(3).map(|c| [c[0], c[1], c[2]]).collect();
        let mut changes = Vec::new();
        // No frame changes more than all of its pixels, which takes less than three bytes each.
        let most = (frames as u64).saturating_mul(3 * size as u64 + 10);
        ZlibDecoder::new(from_base64(&self.data)?.as_slice()).take(most).read_to_end(&mut changes).ok()?;
        let mut rest = changes.as_slice();
        let mut picture = Picture { width: self.width, height: self.height, pixels: vec![0; size], palette };
        let mut pictures = Vec::new();
        for _ in 0..frames {
            let mut end = 0_usize;
            for _ in 0..take(&mut rest)? {
                let from = end.checked_add(take(&mut rest)?)?;
                end = from.checked_add(take(&mut rest)?)?;
                let (colours, others) = rest.split_at_checked(end - from)?;
                picture.pixels.get_mut(from..end)?.copy_from_slice(colours);
                rest = others;
            }
            pictures.push(picture.clone());
        }
        rest.is_empty().then_some(pictures)
    }
}

/// Append a count.
fn put(out: &mut Vec<u8>, mut count: usize) {
    while count > 127 {
        out.push(count as u8 | 128);
        count >>= 7;
    }
    out.push(count as u8);
}

/// Take a count from the front.
fn take(from: &mut &[u8]) -> Option<usize> {
    let mut count = 0;
    for shift in (0..usize::BITS).step_by(7) {
        let (&byte, rest) = from.split_first()?;
        *from = rest;
        count |= usize::from(byte & 127) << shift;
        if byte < 128 {
            return Some(count);
        }
    }
    None
}

const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

fn base64(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for three in bytes.chunks(3) {
        let word = (0..3).fold(0, |word, i| word << 8 | u32::from(three.get(i).copied().unwrap_or(0)));
        for i in 0..4 {
            text.push(if i <= three.len() { LETTERS[(word >> (18 - 6 * i) & 63) as usize] as char } else { '=' });
        }
    }
    text
}

fn from_base64(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len() / 4 * 3);
    let value = |letter: &u8| LETTERS.iter().position(|known| known == letter);
    for four in text.trim_end_matches('=').as_bytes().chunks(4) {
        let mut word = 0;
        for i in 0..4 {
            word = word << 6 | four.get(i).map_or(Some(0), value)?;
        }
        bytes.extend((0..four.len() - 1).map(|i| (word >> (16 - 8 * i)) as u8));
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn picture(t: usize) -> Picture {
        let mut pixels = vec![0; 600];
        (0..600).filter(|i| i / 7 % 5 == t % 5 || i % 97 == t).for_each(|i| pixels[i] = (2 * i + t) as u8);
        Picture { width: 20, height: 30, pixels, palette: (0..=255).map(|c| [c, 255 - c, 7]).collect() }
    }

    #[test]
    fn pictures_come_back_and_damage_is_noticed() {
        let mut film = Film::default();
        (0..40).for_each(|t| film.add(Some(&picture(t))));
        film.add(None);
        let track = film.finish().unwrap();
        let pictures = track.pictures(41).unwrap();
        (0..40).for_each(|t| assert_eq!(pictures[t], picture(t), "{t}"));
        assert_eq!(pictures[40], picture(39));
        for frames in [40, 42] {
            assert!(track.pictures(frames).is_err());
        }
        for data in [track.data[..track.data.len() / 2].to_owned(), "!".to_owned(), String::new()] {
            assert!(Track { data, ..track.clone() }.pictures(41).is_err());
        }
        assert!(Track { width: usize::MAX, ..track.clone() }.pictures(41).is_err());
        assert!(Track { height: 29, ..track }.pictures(41).is_err());
        assert!(Film::default().finish().is_none());
    }

    #[test]
    fn base64_is_the_standards() {
        for (bytes, text) in [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foobar", "Zm9vYmFy")] {
            assert_eq!(base64(bytes.as_bytes()), text);
            assert_eq!(from_base64(text).unwrap(), bytes.as_bytes());
        }
        assert!(from_base64("Zm9*").is_none());
    }
}
