//! Omniglot (Lake, Salakhutdinov, Tenenbaum 2015): tell characters apart that were seen once or a few times.
//!
//! All characters are shuffled (a function of the seed); the first part is for training, where each of them turned by a quarter, a half and
//! three quarters counts as another one, and the rest, unturned, is for testing.

use std::path::PathBuf;

use tony_deep::{ConvNet, Shape};
use tony_random::Stream;
use tony_run::settings;

use crate::learner::{Examples, Learner};
use crate::pictures::{self, Class, PIXELS, SIDE, turned};
use crate::tasks::Test;
use crate::{Error, Result};

settings! {
    /// Characters
    pub struct Config {
        /// Where the pictures are: a folder that holds Omniglot's two halves (images_background, images_evaluation; folders, .zip or .tar.gz), any
        /// folder with a folder of PNG pictures for each character, or one such archive. auto: the environment variable TONY_OMNIGLOT, then
        /// data/omniglot, then omniglot.
        "data" data: String = "auto".to_owned();
        /// Characters to tell apart in a task.
        "ways" ways: usize = 5, (2..=1000);
        /// Known drawings of each in a new task.
        "shots" shots: usize = 1, (1..=1000);
        /// Drawings of each in a training task.
        "train_shots" train_shots: usize = 10, (1..=1000);
        /// Filters of each of the four convolutions.
        "filters" filters: usize = 64, (1..=1024);
        /// Characters to train on; none: 1200 of Omniglot's 1623, and the same share of a smaller collection. The test characters stay the same.
        "train_classes" train_classes: Option<usize> = None, if |n| n.is_none_or(|n| n > 0), "none, or a whole number, at least 1";
        /// Whether training characters turned by quarters are further characters.
        "rotations" rotations: bool = true;
        /// Whether the pictures to be told apart are normalised with each other; if not, each is alone with the known drawings.
        "transductive" transductive: bool = false;
    }
}

/// Of Omniglot's characters, as published.
const ALL: usize = 1623;
const TRAINING: usize = 1200;

/// The family of tasks.
pub struct Omniglot {
    config: Config,
    classes: Vec<Class>,
    /// Shuffled numbers of classes: training's, then testing's.
    training: Vec<usize>,
    testing: Vec<usize>,
}

impl Omniglot {
    /// Read the pictures that the settings name.
    pub fn open(config: Config, seed: u64) -> Result<Self> {
        let place = if config.data == "auto" { pictures::locate()? } else { PathBuf::from(&config.data) };
        let classes = pictures::read(&place)?;
        Self::new(config, classes, seed)
    }

    /// From pictures that were read.
    pub fn new(config: Config, classes: Vec<Class>, seed: u64) -> Result<Self> {
        let mut order: Vec<usize> = (0..classes.len()).collect();
        Stream::new(seed, "split", 0).shuffle(&mut order);
        let share = if classes.len() >= ALL { TRAINING } else { classes.len() * TRAINING / ALL };
        let testing = order.split_off(share);
        order.truncate(config.train_classes.unwrap_or(share));
        let family = Self { config, classes, training: order, testing };
        family.check()?;
        Ok(family)
    }

    /// Everything that sampling takes for granted.
    fn check(&self) -> Result<()> {
        let Config { ways, shots, train_shots, .. } = self.config;
        let parts = [
            ("training", &self.training, self.turns(), "train_shots", train_shots),
            ("testing", &self.testing, 1, "shots", shots + 1),
        ];
        for (part, classes, turns, key, needed) in parts {
            let there = classes.len() * turns;
            if there < ways {
                return Err(Error::invalid(
                    format!(
                        "ways={ways} needs as many characters for {part}, and there are {there} (of {} in all)",
                        self.classes.len()
                    ),
                    format!("ways={}, or data=PATH with more characters", there.max(2)),
                ));
            }
            let poorest = classes.iter().map(|i| &self.classes[*i]).min_by_key(|class| class.drawings.len());
            if let Some(class) = poorest.filter(|class| class.drawings.len() < needed) {
                let extra = if key == "shots" { " (one drawing is for the question)" } else { "" };
                let most = class.drawings.len().saturating_sub(usize::from(key == "shots"));
                return Err(Error::invalid(
                    format!(
                        "{part} needs {needed} drawings of each character{extra}, and {} has {}",
                        class.name,
                        class.drawings.len()
                    ),
                    format!("{key}={}", most.max(1)),
                ));
            }
        }
        Ok(())
    }

    fn turns(&self) -> usize {
        if self.config.rotations { 4 } else { 1 }
    }

    /// Settings, as given.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Names of the training and of the test characters.
    pub fn names(&self) -> [Vec<&str>; 2] {
        [&self.training, &self.testing].map(|part| part.iter().map(|i| self.classes[*i].name.as_str()).collect())
    }

    pub(crate) fn describe(&self) -> String {
        let drawings: usize = self.classes.iter().map(|class| class.drawings.len()).sum();
        let ink: u64 = self.classes.iter().flat_map(|class| &class.drawings).flatten().map(|p| u64::from(1 - p)).sum();
        format!("{} characters, {drawings} drawings, {ink} pixels of ink", self.classes.len())
    }

    pub(crate) fn learner(&self) -> Result<Learner> {
        let shape = Shape { side: SIDE, channels: 1, filters: self.config.filters, classes: self.config.ways };
        Ok(Learner::Classification(ConvNet::new(shape)?))
    }

    pub(crate) fn train(&self, seed: u64, number: u64) -> Examples {
        let mut stream = Stream::new(seed, "task", number);
        let mut examples = Examples::default();
        for (label, class) in
            distinct(self.training.len() * self.turns(), self.config.ways, &mut stream).into_iter().enumerate()
        {
            let (class, turn) = (self.training[class / self.turns()], class % self.turns());
            let drawings = &self.classes[class].drawings;
            for i in distinct(drawings.len(), self.config.train_shots, &mut stream) {
                push(&mut examples, &drawings[i], turn, label);
            }
        }
        examples
    }

    pub(crate) fn test(&self, seed: u64, name: &str, number: u64) -> Test {
        let mut stream = Stream::new(seed, name, number);
        let mut test = Test { support: Examples::default(), query: Examples::default() };
        for (label, class) in distinct(self.testing.len(), self.config.ways, &mut stream).into_iter().enumerate() {
            let drawings = &self.classes[self.testing[class]].drawings;
            let mut chosen = distinct(drawings.len(), self.config.shots + 1, &mut stream).into_iter();
            if let Some(question) = chosen.next() {
                push(&mut test.query, &drawings[question], 0, label);
            }
            chosen.for_each(|i| push(&mut test.support, &drawings[i], 0, label));
        }
        test
    }
}

fn push(examples: &mut Examples, drawing: &[u8], turn: usize, label: usize) {
    examples.inputs.reserve(PIXELS);
    examples.inputs.extend(turned(drawing, turn).map(f32::from));
    examples.targets.push(label as f32);
}

/// `count` different numbers below `n`, in random order. There must be as many.
fn distinct(n: usize, count: usize, stream: &mut Stream) -> Vec<usize> {
    if count * 2 > n {
        let mut all: Vec<usize> = (0..n).collect();
        stream.shuffle(&mut all);
        all.truncate(count);
        return all;
    }
    let mut chosen = Vec::with_capacity(count);
    while chosen.len() < count {
        let next = stream.below(n);
        if !chosen.contains(&next) {
            chosen.push(next);
        }
    }
    chosen
}
