//! Replays as moving pictures: the page itself, drawn in a browser without a window, a step after the other.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt::Display;
use std::io::{Cursor, Write};
use std::path::{Path, PathBuf};
use std::process::{ChildStdin, Command, Stdio};

use color_quant::NeuQuant;
use serde_json::Value;

use crate::browser::{Browser, in_path};
use crate::console;
use crate::failure::{Failure, Result};

/// A kind of film.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Shown by everything, large for what it shows.
    Gif,
    /// Encoded by ffmpeg.
    Mp4,
}

impl Kind {
    /// Width in pixels, and most pictures in a second.
    fn form(self) -> (u32, f64) {
        match self {
            Self::Gif => (640, 15.0),
            Self::Mp4 => (1280, 30.0),
        }
    }
}

/// The encoder of MP4 files, which a user installs.
pub fn ffmpeg() -> Result<PathBuf> {
    in_path("ffmpeg").ok_or_else(|| {
        Failure::failed("no_ffmpeg", "there is no ffmpeg here, which encodes MP4 files")
            .hint("apt install ffmpeg; --gif FILE needs none")
    })
}

/// Film all episodes of the replay page `page`.
pub fn film(page: &Path, kind: Kind, path: &Path) -> Result<()> {
    let (width, most) = kind.form();
    let encoder = if kind == Kind::Mp4 { Some(ffmpeg()?) } else { None };
    let mut browser = Browser::open(page, "film=1&play=0", [width, width])?;
    let number = |value: &Value| value.as_f64().unwrap_or(0.0);
    let lengths = browser.evaluate("replay.lengths")?;
    let lengths: Vec<usize> = lengths.as_array().into_iter().flatten().map(|length| number(length) as usize).collect();
    let fps = number(&browser.evaluate("replay.fps[0]")?).max(1e-3);
    let every = (fps / most).ceil().max(1.0) as usize;
    let height = number(&browser.evaluate("document.getElementById('player').offsetHeight")?) as u32;
    // Video encoders want even sides.
    let size = [width, height.next_multiple_of(2)];
    browser.resize(size)?;
    let shots: Vec<[usize; 2]> = (lengths.iter().enumerate())
        .flat_map(|(episode, length)| (0..=*length).step_by(every).map(move |step| [episode, step]))
        .collect();
    let mut shoot = |[episode, step]: [usize; 2]| {
        browser.evaluate(&format!("replay.show({episode}, {step})"))?;
        browser.picture()
    };
    let bar = console::bar(shots.len() as u64, path.display().to_string());
    let rate = fps / every as f64;
    match encoder {
        None => {
            // The colours of a few moments are the colours of all.
            let samples = shots.iter().step_by(shots.len().div_ceil(6)).map(|shot| pixels(&shoot(*shot)?));
            let mut film = Gif::new(path, size, rate, &samples.collect::<Result<Vec<_>>>()?.concat())?;
            for shot in &shots {
                film.add(&pixels(&shoot(*shot)?)?)?;
                bar.inc(1);
            }
        }
        Some(ffmpeg) => {
            let feed = |to: &mut ChildStdin| {
                for shot in &shots {
                    let picture = shoot(*shot)?;
                    // It says itself why it listens no more.
                    if to.write_all(&picture).is_err() {
                        break;
                    }
                    bar.inc(1);
                }
                Ok(())
            };
            encode(&ffmpeg, path, rate, feed)?;
        }
    }
    bar.finish_and_clear();
    Ok(())
}

/// Run ffmpeg over the PNG pictures that `feed` writes to it.
fn encode(ffmpeg: &Path, path: &Path, rate: f64, feed: impl FnOnce(&mut ChildStdin) -> Result<()>) -> Result<()> {
    let mut process = Command::new(ffmpeg)
        .args(["-loglevel", "error", "-y", "-f", "image2pipe", "-c:v", "png", "-framerate", &rate.to_string()])
        // The colours that every player knows; and the index first, so that it plays while it loads.
        .args(["-i", "-", "-pix_fmt", "yuv420p", "-movflags", "+faststart", "-f", "mp4"])
        .arg(path)
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    let fed = process.stdin.take().map_or(Ok(()), |mut to| feed(&mut to));
    let output = process.wait_with_output()?;
    fed?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    Err(Failure::failed("ffmpeg", format!("ffmpeg failed on {}", path.display())).at(said))
}

/// A PNG file's pixels, three bytes each.
pub fn pixels(png: &[u8]) -> Result<Vec<[u8; 3]>> {
    let failed = |error: png::DecodingError| Failure::failed("browser", format!("a picture cannot be read: {error}"));
    let mut reader = png::Decoder::new(Cursor::new(png)).read_info().map_err(failed)?;
    let mut bytes = vec![0; reader.output_buffer_size().unwrap_or(0)];
    let info = reader.next_frame(&mut bytes).map_err(failed)?;
    Ok(bytes[..info.buffer_size()].chunks_exact(info.color_type.samples()).map(|p| [p[0], p[1], p[2]]).collect())
}

/// A GIF file that is written: one palette for all pictures, and of each only what is not as it was in the one before.
struct Gif {
    encoder: gif::Encoder<fs_err::File>,
    palette: NeuQuant,
    known: HashMap<[u8; 3], u8>,
    size: [u16; 2],
    /// The picture before, in indices of the palette.
    last: Vec<u8>,
    /// Hundredths of a second that pictures are to be shown and are not yet.
    owed: f64,
    each: f64,
}

/// The index of what stays as it is.
const SAME: u8 = 255;

impl Gif {
    fn new(path: &Path, size: [u32; 2], rate: f64, samples: &[[u8; 3]]) -> Result<Self> {
        let opaque: Vec<u8> = samples.iter().flat_map(|[r, g, b]| [*r, *g, *b, 255]).collect();
        // Every tenth pixel is looked at, as the algorithm's author advises for speed.
        let palette = NeuQuant::new(10, usize::from(SAME), &opaque);
        let mut colours = palette.color_map_rgb();
        colours.resize(256 * 3, 0);
        let size = size.map(|side| side as u16);
        let file = fs_err::File::create(path)?;
        let mut encoder = gif::Encoder::new(file, size[0], size[1], &colours).map_err(unwritten)?;
        encoder.set_repeat(gif::Repeat::Infinite).map_err(unwritten)?;
        Ok(Self { encoder, palette, known: HashMap::new(), size, last: Vec::new(), owed: 0.0, each: 100.0 / rate })
    }

    fn add(&mut self, pixels: &[[u8; 3]]) -> Result<()> {
        let width = usize::from(self.size[0]);
        let index = |[r, g, b]: &[u8; 3]| self.palette.index_of(&[*r, *g, *b, 255]) as u8;
        let now: Vec<u8> =
            pixels.iter().map(|pixel| *self.known.entry(*pixel).or_insert_with(|| index(pixel))).collect();
        let differs = |i: &usize| self.last.get(*i) != Some(&now[*i]);
        let changed: Vec<usize> = (0..now.len()).filter(differs).collect();
        let bounds = |of: &dyn Fn(usize) -> usize| {
            let values = || changed.iter().map(|i| of(*i));
            values().min().unwrap_or(0)..values().max().unwrap_or(0) + 1
        };
        let (rows, columns) = (bounds(&|i| i / width), bounds(&|i| i % width));
        let inside = rows.clone().flat_map(|row| columns.clone().map(move |column| row * width + column));
        let buffer: Vec<u8> = inside.map(|i| if differs(&i) { now[i] } else { SAME }).collect();
        self.owed += self.each;
        let delay = self.owed.round();
        self.owed -= delay;
        let frame = gif::Frame {
            delay: delay as u16,
            dispose: gif::DisposalMethod::Keep,
            transparent: Some(SAME),
            top: rows.start as u16,
            left: columns.start as u16,
            height: rows.len() as u16,
            width: columns.len() as u16,
            buffer: Cow::Owned(buffer),
            ..gif::Frame::default()
        };
        self.last = now;
        self.encoder.write_frame(&frame).map_err(unwritten)
    }
}

fn unwritten(error: impl Display) -> Failure {
    Failure::failed("gif", format!("the GIF file cannot be written: {error}"))
}
