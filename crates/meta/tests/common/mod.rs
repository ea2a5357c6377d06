//! A small collection of characters, drawn here.
#![allow(dead_code, missing_docs, clippy::unwrap_used)]

use std::path::Path;

use tony_meta::algorithms;
use tony_meta::pictures::{Class, PIXELS, SIDE};
use tony_meta::tasks::Family;
use tony_meta::{Trainer, omniglot::Omniglot};
use tony_random::Stream;
use tony_run::{Layer, Plan};

/// Drawings of `count` characters, `each` of each: four strokes with a fixed place for the character, shaken for the drawing.
pub fn characters(count: usize, each: usize) -> Vec<Class> {
    let class = |i: usize| {
        let mut stream = Stream::new(1, "character", i as u64);
        let strokes: Vec<[f64; 4]> = (0..4).map(|_| [(); 4].map(|()| stream.range(4.0, 24.0))).collect();
        let drawing = |_| {
            let [dx, dy] = [(); 2].map(|()| stream.range(-1.5, 1.5));
            let mut paper = vec![1_u8; PIXELS];
            for [ax, ay, bx, by] in &strokes {
                for step in 0..=40 {
                    let t = f64::from(step) / 40.0;
                    let (x, y) = (ax + t * (bx - ax) + dx, ay + t * (by - ay) + dy);
                    for (px, py) in [(x, y), (x + 1.0, y)] {
                        let (px, py) = (px.clamp(0.0, 27.0) as usize, py.clamp(0.0, 27.0) as usize);
                        paper[py * SIDE + px] = 0;
                    }
                }
            }
            paper
        };
        Class { name: format!("images/alphabet/character{i:03}"), drawings: (0..each).map(drawing).collect() }
    };
    (0..count).map(class).collect()
}

/// A drawing as a PNG file.
pub fn png(side: u32, paper: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, side, side);
    encoder.set_color(png::ColorType::Grayscale);
    encoder.set_depth(png::BitDepth::Eight);
    let mut writer = encoder.write_header().unwrap();
    writer.write_image_data(&paper.iter().map(|p| p * 255).collect::<Vec<_>>()).unwrap();
    writer.finish().unwrap();
    bytes
}

/// Paths and contents of the pictures of these classes.
pub fn files(classes: &[Class]) -> Vec<(String, Vec<u8>)> {
    let of_class = |class: &Class| {
        let name = class.name.clone();
        let file = move |(i, drawing): (usize, &Vec<u8>)| (format!("{name}/{i:02}.png"), png(SIDE as u32, drawing));
        class.drawings.iter().enumerate().map(file).collect::<Vec<_>>()
    };
    classes.iter().flat_map(of_class).collect()
}

pub fn write_folder(folder: &Path, files: &[(String, Vec<u8>)]) {
    for (name, bytes) in files {
        let path = folder.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }
}

pub fn plan(algorithm: &str, task: &str, words: &[&str]) -> Plan {
    let layer = Layer::command_line(words).unwrap();
    algorithms::find(algorithm).unwrap().resolve(task, &[layer]).unwrap()
}

/// A training on the small collection.
pub fn on_characters(algorithm: &str, words: &[&str]) -> Trainer {
    let plan = plan(algorithm, "omniglot", words);
    let seed = plan.get("seed").unwrap().parse().unwrap();
    let family = Omniglot::new(plan.group().unwrap(), characters(40, 8), seed).unwrap();
    Trainer::with_family(&plan, Family::Omniglot(family)).unwrap()
}
