//! Who says whether a proposition is true of a completion.

use std::path::Path;

use tony_run::nearest;

use super::heads::{Features, Heads, HeadsGrader};
use super::local::{LocalGrader, Wording};
use super::patterns::PatternGrader;
use super::policy::Policy;
use crate::{Error, MODELS, Message, Result, find_model};

/// A conversation and how it was answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// The conversation up to the completion.
    pub prompt: Vec<Message>,
    /// What the model said.
    pub completion: String,
}

/// Is this proposition true of this item?
#[derive(Clone, Copy, Debug)]
pub struct Question<'a> {
    /// The item.
    pub item: &'a Item,
    /// Number of the proposition, in the order of [`Policy::propositions`].
    pub proposition: usize,
}

/// The answer to a [`Question`].
#[derive(Clone, Debug, PartialEq)]
pub enum Verdict {
    /// The grader has an opinion.
    Probability {
        /// Probability that the proposition is true, of yes and no alone.
        yes: f64,
        /// Probability that the grader gave to anything but yes and no; 0 where it can say nothing else.
        outside: f64,
    },
    /// No answer, which is neither yes nor no.
    Missing {
        /// Why not.
        why: String,
    },
}

impl Verdict {
    /// Probability that the proposition is true.
    pub fn yes(&self) -> Option<f64> {
        match self {
            Self::Probability { yes, .. } => Some(*yes),
            Self::Missing { .. } => None,
        }
    }

    /// Probability that the grader gave to anything but yes and no.
    pub fn outside(&self) -> Option<f64> {
        match self {
            Self::Probability { outside, .. } => Some(*outside),
            Self::Missing { .. } => None,
        }
    }
}

/// Answers questions about completions.
pub trait Grader: Send {
    /// Name of the grader, its weights and the wording of its questions: verdicts of equal names may stand for each other.
    fn identity(&self) -> String;

    /// Answer `questions`, in any order; questions about one item stand next to each other, so that what they share is read once. `each`
    /// gets a question's place and its verdict as soon as it is known. A question that cannot be answered is [`Verdict::Missing`]; an error
    /// is for what makes all further questions pointless.
    fn grade(
        &mut self,
        policy: &Policy,
        questions: &[Question],
        each: &mut dyn FnMut(usize, Verdict) -> Result<()>,
    ) -> Result<()>;
}

/// Questions that stand next to each other and are about one item, with the place of the first.
pub(super) fn by_item<'a, 'b>(questions: &'a [Question<'b>]) -> impl Iterator<Item = (usize, &'a [Question<'b>])> {
    questions.chunk_by(|a, b| std::ptr::eq(a.item, b.item)).scan(0, |next, group| {
        let first = *next;
        *next += group.len();
        Some((first, group))
    })
}

/// Kinds of graders, for the nearest name.
const KINDS: [&str; 3] = ["regex", "heads", "lm"];

/// The grader on this machine that is called so: `regex`, `regex:FILE`, `heads:FILE`, `lm:MODEL`, or a MODEL, which is asked in `wording`.
pub fn named(name: &str, policy: &Policy, wording: Wording) -> Result<Box<dyn Grader>> {
    Ok(match name.split_once(':').unwrap_or((name, "")) {
        ("regex", "") => Box::new(PatternGrader::built_in()?),
        ("regex", file) => Box::new(PatternGrader::read(Path::new(file), policy)?),
        ("heads", file) => {
            let (file, heads) = (Path::new(file), Heads::load(Path::new(file))?);
            let features = Features::open(&find_model(heads.encoder())?)?;
            Box::new(HeadsGrader::new(file, heads, features)?)
        }
        ("lm", model) => Box::new(LocalGrader::open(&find_model(model)?, wording)?),
        _ => match find_model(name) {
            Ok(path) => Box::new(LocalGrader::open(&path, wording)?),
            Err(Error::UnknownModel { .. }) => {
                let known = KINDS.into_iter().chain(MODELS.iter().map(|model| model.name));
                let nearest = nearest(name, known).map(str::to_owned);
                return Err(Error::UnknownGrader { name: name.to_owned(), nearest });
            }
            Err(error) => return Err(error),
        },
    })
}
