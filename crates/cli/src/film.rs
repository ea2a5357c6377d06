//! Replays as moving pictures, drawn by the processor alone.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt::Display;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use color_quant::NeuQuant;
use rayon::prelude::*;
use tony_env::frame::Frame;
use tony_env::picture::Painter;
use tony_env::recording::Recording;

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
    /// Width and height in pixels, and most pictures in a second.
    fn form(self) -> ([usize; 2], f64) {
        match self {
            Self::Gif => ([640, 480], 15.0),
            Self::Mp4 => ([960, 540], 30.0),
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

/// A program in one of the folders of PATH.
pub fn in_path(program: &str) -> Option<PathBuf> {
    let folders = std::env::var_os("PATH")?;
    std::env::split_paths(&folders).map(|folder| folder.join(program)).find(|path| path.is_file())
}

/// Film episodes of one environment, one after the other.
pub fn film(recordings: &[Recording], kind: Kind, path: &Path) -> Result<()> {
    let ([width, height], most) = kind.form();
    let encoder = if kind == Kind::Mp4 { Some(ffmpeg()?) } else { None };
    let fps = recordings.first().map_or(1.0, |recording| recording.fps).max(1e-3);
    let every = (fps / most).ceil().max(1.0) as usize;
    let episodes: Vec<(Painter, Vec<Frame>, Vec<bool>)> = (recordings.iter())
        .map(|recording| {
            let frames = recording.frames();
            let painter = Painter::new(recording.scene().cloned(), frames.first().unwrap_or(&Frame::default()));
            (painter, frames, costly(recording, every))
        })
        .collect();
    let shots: Vec<(&Painter, &Frame, bool)> = (episodes.iter())
        .flat_map(|(painter, frames, costly)| {
            frames.iter().zip(costly).step_by(every).map(move |(frame, costly)| (painter, frame, *costly))
        })
        .collect();
    let shoot = |(painter, frame, costly): &(&Painter, &Frame, bool)| {
        let mut picture = painter.paint(frame, width, height);
        if *costly {
            border(&mut picture, width);
        }
        picture
    };
    let bar = console::bar(shots.len() as u64, path.display().to_string());
    let rate = fps / every as f64;
    // Pictures are drawn side by side and written in order.
    let mut each = |write: &mut dyn FnMut(&[u8]) -> Result<()>| {
        shots.chunks(4 * rayon::current_num_threads()).try_for_each(|shots| {
            let pictures: Vec<Vec<u8>> = shots.par_iter().map(shoot).collect();
            bar.inc(pictures.len() as u64);
            pictures.iter().try_for_each(|picture| write(picture))
        })
    };
    match encoder {
        None => {
            // The colours of a few moments are the colours of all.
            let samples = shots.iter().step_by(shots.len().div_ceil(6).max(1)).map(shoot);
            let mut film = Gif::new(path, [width, height], rate, &samples.collect::<Vec<_>>().concat())?;
            each(&mut |picture| film.add(picture.as_chunks::<3>().0))?;
        }
        Some(ffmpeg) => encode(&ffmpeg, path, [width, height], rate, &mut each)?,
    }
    bar.finish_and_clear();
    Ok(())
}

/// Of each frame: did a step that led to it, since the frame that is shown before it, cost something?
fn costly(recording: &Recording, every: usize) -> Vec<bool> {
    let total = recording.costs().iter().find(|channel| channel.name == "cost");
    let values = total.map(|channel| channel.values.as_slice()).unwrap_or_default();
    let since = |frame: usize| &values[frame.saturating_sub(every).min(values.len())..frame.min(values.len())];
    (0..=recording.reward().len()).map(|frame| since(frame).iter().any(|cost| *cost > 0.0)).collect()
}

/// A red border: something costs.
fn border(picture: &mut [u8], width: usize) {
    const WIDE: usize = 6;
    let pixels = picture.as_chunks_mut::<3>().0;
    let height = pixels.len() / width.max(1);
    for (i, pixel) in pixels.iter_mut().enumerate() {
        let (x, y) = (i % width, i / width);
        if x < WIDE || y < WIDE || x + WIDE >= width || y + WIDE >= height {
            *pixel = [0xd5, 0x5e, 0x00];
        }
    }
}

/// Hands over pictures one after the other, until one is not taken.
type Each<'a> = &'a mut dyn FnMut(&mut dyn FnMut(&[u8]) -> Result<()>) -> Result<()>;

/// Run ffmpeg over all pictures.
fn encode(ffmpeg: &Path, path: &Path, [width, height]: [usize; 2], rate: f64, each: Each) -> Result<()> {
    let mut process = Command::new(ffmpeg)
        .args(["-loglevel", "error", "-y", "-f", "rawvideo", "-pix_fmt", "rgb24"])
        .args(["-s", &format!("{width}x{height}"), "-framerate", &rate.to_string()])
        // The colours that every player knows; and the index first, so that it plays while it loads.
        .args(["-i", "-", "-pix_fmt", "yuv420p", "-movflags", "+faststart", "-f", "mp4"])
        .arg(path)
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    let fed = process.stdin.take().map_or(Ok(()), |mut to| each(&mut |picture| Ok(to.write_all(picture)?)));
    let output = process.wait_with_output()?;
    if output.status.success() {
        return fed;
    }
    // Where it listened no more, it says itself why.
    let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    Err(Failure::failed("ffmpeg", format!("ffmpeg failed on {}", path.display())).at(said))
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
    fn new(path: &Path, size: [usize; 2], rate: f64, samples: &[u8]) -> Result<Self> {
        let opaque: Vec<u8> = samples.as_chunks::<3>().0.iter().flat_map(|[r, g, b]| [*r, *g, *b, 255]).collect();
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
