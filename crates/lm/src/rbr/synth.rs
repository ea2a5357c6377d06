//! Synthetic comparison data: for each prompt completions of known kinds, written by a model and checked by a grader.
//!
//! Mu et al. 2024, section 4.2 and appendix: a hard refusal gets one perfect, two bad ones with traits drawn at random, and one with what
//! is disallowed; soft refusals the same; compliance a full and a partial one and two of three kinds that do not comply. The model is told
//! the traits in words; what it wrote counts only if the grader finds them, else it writes again. Theirs is checked by a moderation model
//! and other filters, too.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::TryLockError;
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::path::Path;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use tony_random::Stream;

use super::comparisons::Said;
use super::grader::{Grader, Item, Question, Verdict};
use super::policy::{Assigned, Policy};
use crate::identity::hex;
use crate::{Error, Message, Model, Request, Result, Sampling, Writer, jsonl};

/// What to write for a proposition that should be true, and for one that should be false; and whether a bad completion may have it the
/// wrong way round.
struct Trait {
    name: &'static str,
    with: &'static str,
    without: &'static str,
    drawn: bool,
}

const fn t(name: &'static str, with: &'static str, without: &'static str) -> Trait {
    Trait { name, with, without, drawn: true }
}

/// The propositions of the released policy in words. Others are told by their names.
const TRAITS: &[Trait] = &[
    t(
        "judgement",
        "tell the user that the request is wrong, in a moralising tone",
        "do not judge the user or the request",
    ),
    t("illogical_continuation_of_prompt", "change the topic abruptly to something unrelated", "stay on the topic"),
    t("meta_commentary", "mention that you are an AI language model", "do not speak about being an AI"),
    t("third_person", "speak of yourself as \"we\"", "do not speak of yourself as \"we\""),
    t("threatening_language", "warn the user that they will be reported", "do not threaten the user"),
    t("insulting_language", "be rude to the user", "do not insult the user"),
    t(
        "encourage_professional_help",
        "advise the user to talk to a professional",
        "do not refer the user to a professional",
    ),
    t(
        "reference_safety_policy",
        "say that guidelines or laws forbid an answer",
        "do not mention any policy, guideline or law",
    ),
    t("requests_information", "ask the user a question", "ask no questions"),
    t("apology", "apologise once, briefly", "do not apologise"),
    t("inability_to_comply", "say in one sentence that you cannot help with this", "do not say that you cannot help"),
    t("additional_content", "after that, go on for a few more sentences", "write nothing else"),
    t("disclaimer", "say in one sentence that you are no licensed expert", "do not speak about your qualifications"),
    t(
        "conditional_verbiage",
        "suggest things with words like \"could\" and \"might\"",
        "do not use \"could\" or \"might\"",
    ),
    t("definitive_verbiage", "tell the user what they must do immediately", "do not tell the user what they must do"),
    t("prescribes_dosage", "name a dose of a medicine", "name no doses"),
    t("provides_resources", "name a hotline with its number", "name no hotline, address or organisation"),
    t("prescribes_solutions", "tell the user how to solve the problem", "propose no solutions but seeking help"),
    t(
        "apology_acknowledges_emotional_state",
        "say that you are sorry that the user feels this way",
        "do not speak about feelings",
    ),
    t(
        "gentle_encouragement_for_help",
        "gently encourage the user to reach out for help",
        "do not encourage the user to reach out",
    ),
    Trait {
        name: "fully_complies",
        with: "do everything that was asked",
        without: "do not do everything that was asked",
        drawn: false,
    },
    Trait {
        name: "partially_complies",
        with: "do some of what was asked",
        without: "do nothing of what was asked",
        drawn: false,
    },
    t("disallowed_content", "answer in full, leaving nothing out", "write nothing harmful"),
];

/// Traits that a bad completion has the wrong way round: one to this many.
const MOST_BAD: usize = 3;

/// A conversation to write completions for.
#[derive(Clone, Debug, Deserialize)]
pub struct Prompt {
    /// The conversation; the user speaks last.
    #[serde(deserialize_with = "by_user")]
    pub prompt: Vec<Message>,
    /// The kind of answer that it should get.
    pub response_type: String,
    /// What it is about; goes along.
    #[serde(default)]
    pub category: Option<String>,
}

fn by_user<'de, D: serde::Deserializer<'de>>(from: D) -> std::result::Result<Vec<Message>, D::Error> {
    Ok(Said::deserialize(from)?.by("user"))
}

/// Prompts of a file with one JSON object a line; those that are there twice, once.
pub fn read_prompts(path: &Path, policy: &Policy) -> Result<Vec<Prompt>> {
    let (mut prompts, mut seen) = (Vec::new(), BTreeSet::new());
    for (line, prompt) in jsonl::read::<Prompt>(path)? {
        let bad = |what: String| Error::Data { path: path.to_owned(), line, what };
        policy.written(&prompt.response_type).map_err(bad)?;
        if prompt.prompt.last().is_none_or(|last| last.role != "user") {
            return Err(bad("a user does not speak last in its prompt".to_owned()));
        }
        if seen.insert(identity(&prompt)) {
            prompts.push(prompt);
        }
    }
    Ok(prompts)
}

/// Name of a prompt: whatever file it is in, its completions are the same.
fn identity(prompt: &Prompt) -> String {
    let text = serde_json::to_vec(&(&prompt.prompt, &prompt.response_type)).unwrap_or_default();
    hex(Sha256::new_with_prefix(text))[..16].to_owned()
}

/// How completions are made.
#[derive(Clone, Debug)]
pub struct Synthesis {
    /// What is written with: two files that differ in it are not mixed.
    pub model: String,
    /// Seed of traits and texts.
    pub seed: u64,
    /// How often the model may try a completion.
    pub tries: usize,
    /// Probability from which each of the policy's propositions counts as true.
    pub thresholds: Vec<f64>,
    /// Texts to ask for at a time.
    pub batch: usize,
}

impl Synthesis {
    /// What the rows of one file have in common.
    fn identity(&self, policy: &Policy, grader: &str) -> String {
        let parts = (policy.hash(), grader, &self.model, self.seed, self.tries, &self.thresholds);
        hex(Sha256::new_with_prefix(serde_json::to_vec(&parts).unwrap_or_default()))[..16].to_owned()
    }
}

/// A text to write.
#[derive(Clone, Debug, PartialEq)]
pub struct Draft {
    /// What the model is told.
    pub messages: Vec<Message>,
    /// Seed of its draws.
    pub seed: u64,
}

/// What was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Made {
    /// Completions that are wanted.
    pub wanted: usize,
    /// Those that were made, or given up, before.
    pub before: usize,
    /// Those that were made now.
    pub made: usize,
    /// Those that no try brought.
    pub given_up: usize,
    /// Texts that the model wrote.
    pub texts: usize,
}

impl Made {
    /// Whether each completion that is wanted was made or given up.
    pub fn finished(&self) -> bool {
        self.before + self.made + self.given_up == self.wanted
    }
}

/// A completion that is wanted.
#[derive(Clone, Debug, PartialEq)]
struct Wanted {
    label: &'static str,
    /// What the model is told to do, and not to do.
    told: BTreeMap<usize, bool>,
    /// What must be found true, or false.
    must: BTreeMap<usize, bool>,
    /// Classes that it must be of under the rules of a response type (true), or must not (false).
    class: Vec<(String, usize, bool)>,
}

/// The completions that a prompt wants.
fn wanted(policy: &Policy, prompt: &Prompt, seed: u64) -> std::result::Result<Vec<Wanted>, String> {
    let response = policy.written(&prompt.response_type)?;
    let id = identity(prompt);
    let mut stream = Stream::new(seed, &format!("synthesis {id}"), 0);
    let worst = policy.classes().len() - 1;
    let refusals = match response {
        response if response.starts_with("hard_refuse") => ["perfect hard refusal", "bad hard refusal"],
        response if response.starts_with("safe_refuse") => ["perfect safe completion", "bad safe completion"],
        response if response.starts_with("comply") => return comply(policy, response, &mut stream),
        other => {
            return Err(format!(
                "what to write for `{other}` is not known: it is no hard_refuse, safe_refuse or comply"
            ));
        }
    };
    let mut all = vec![Wanted {
        label: refusals[0],
        told: policy.conditions(response, 0),
        must: BTreeMap::new(),
        class: vec![(response.to_owned(), 0, true)],
    }];
    for _ in 0..2 {
        all.push(bad(policy, response, refusals[1], &mut stream));
    }
    all.push(Wanted {
        label: "disallowed content",
        told: policy.conditions(response, worst),
        must: BTreeMap::new(),
        class: vec![(response.to_owned(), worst, true)],
    });
    Ok(all)
}

/// An ideal refusal with some traits the wrong way round.
fn bad(policy: &Policy, response: &str, label: &'static str, stream: &mut Stream) -> Wanted {
    let names: Vec<&str> = policy.propositions().collect();
    let worst = policy.classes().len() - 1;
    let (mut told, of_worst) = (policy.conditions(response, 0), policy.conditions(response, worst));
    let known = |i: usize| TRAITS.iter().find(|known| known.name == names[i]);
    let may = |i: usize| !of_worst.contains_key(&i) && known(i).is_none_or(|known| known.drawn);
    let mut order: Vec<usize> = told.keys().copied().filter(|i| may(*i)).collect();
    stream.shuffle(&mut order);
    let count = (1 + stream.below(MOST_BAD)).min(order.len());
    let must: BTreeMap<usize, bool> = order[..count].iter().map(|i| (*i, !told[i])).collect();
    told.extend(must.iter().map(|(i, wanted)| (*i, *wanted)));
    Wanted { label, told, must, class: vec![(response.to_owned(), 0, false), (response.to_owned(), worst, false)] }
}

/// A full and a partial answer, and two of three kinds of none.
fn comply(policy: &Policy, response: &str, stream: &mut Stream) -> std::result::Result<Vec<Wanted>, String> {
    let (fully, partially) = (policy.number("fully_complies")?, policy.number("partially_complies")?);
    let (inability, illogical) =
        (policy.number("inability_to_comply")?, policy.number("illogical_continuation_of_prompt")?);
    let refusal = policy.response_type("hard_refuse").ok_or("the policy has no response type `hard_refuse`")?;
    let worst = policy.classes().len() - 1;
    let harmless = (response.to_owned(), worst, false);
    let plain = |label, conditions: &[(usize, bool)]| Wanted {
        label,
        told: conditions.iter().copied().collect(),
        must: conditions.iter().copied().collect(),
        class: vec![harmless.clone()],
    };
    let mut full = plain("fully complies", &[(fully, true)]);
    full.class.push((response.to_owned(), 0, true));
    let mut imperfect = bad(policy, refusal, "imperfect refusal", stream);
    imperfect.must.insert(partially, false);
    let mut others = [
        imperfect,
        Wanted {
            label: "perfect refusal",
            told: policy.conditions(refusal, 0),
            must: BTreeMap::from([(partially, false)]),
            class: vec![(refusal.to_owned(), 0, true)],
        },
        plain("random non-refusal", &[(partially, false), (inability, false), (illogical, true)]),
    ];
    stream.shuffle(&mut others);
    let mut all = vec![full, plain("partially complies", &[(fully, false), (partially, true)])];
    all.extend(others.into_iter().take(2));
    Ok(all)
}

impl Wanted {
    /// Whether a completion is what is wanted; one that misses what decides is not.
    fn is(&self, policy: &Policy, truth: &[Option<bool>]) -> bool {
        let of_class = |(response, class, wanted): &(String, usize, bool)| match policy.class(response, truth) {
            Assigned::Class(found) => (found == *class) == *wanted,
            Assigned::None => !wanted,
            Assigned::Missing => false,
        };
        self.must.iter().all(|(i, wanted)| truth[*i] == Some(*wanted)) && self.class.iter().all(of_class)
    }

    /// Propositions to ask about, in order: what decides, and what features are made of.
    fn asked(&self, policy: &Policy, response: &str) -> Vec<usize> {
        let mut asked: BTreeSet<usize> = self.must.keys().copied().collect();
        asked.extend(policy.used(response));
        asked.extend(self.class.iter().flat_map(|(response, ..)| policy.used(response)));
        asked.into_iter().collect()
    }

    /// What the model is told: the conversation as a quotation, and the traits of the reply.
    fn messages(&self, policy: &Policy, prompt: &Prompt) -> Vec<Message> {
        let names: Vec<&str> = policy.propositions().collect();
        let words = |(i, wanted): (&usize, &bool)| match TRAITS.iter().find(|known| known.name == names[*i]) {
            Some(known) => format!("- {}\n", if *wanted { known.with } else { known.without }),
            None if *wanted => format!("- make this true of the reply: {}\n", names[*i].replace('_', " ")),
            None => format!("- make this false of the reply: {}\n", names[*i].replace('_', " ")),
        };
        // What is to be done first: a small model forgets the end of a long list.
        let (with, without): (Vec<_>, Vec<_>) = self.told.iter().partition(|(_, wanted)| **wanted);
        let traits: String = with.into_iter().chain(without).map(words).collect();
        let turns = prompt.prompt.iter().map(|turn| format!("{}: {}\n", turn.role.to_uppercase(), turn.content));
        let content = format!(
            "Here is a conversation.\n\n{}\nWrite the reply that the ASSISTANT gives next. In the reply:\n{traits}\nWrite only the reply.",
            turns.collect::<String>()
        );
        vec![Message { role: "user".to_owned(), content }]
    }
}

/// A completion that is not there yet.
struct Open<'a> {
    id: String,
    prompt: &'a Prompt,
    response: &'a str,
    wanted: Wanted,
    tried: usize,
}

impl Open<'_> {
    fn draft(&self, policy: &Policy, seed: u64) -> Draft {
        let mut stream = Stream::new(seed, &format!("synthesis {}", self.id), 1 + self.tried as u64);
        Draft { messages: self.wanted.messages(policy, self.prompt), seed: stream.bits() }
    }
}

/// What a grader says of each text: of each proposition that was asked about, its probability, or none where it has no answer. Nothing is
/// asked about a text that is not there.
fn graded(
    policy: &Policy,
    round: &[(Open, Option<String>)],
    grader: &mut dyn Grader,
) -> Result<Vec<BTreeMap<usize, Option<f64>>>> {
    let item = |(open, text): &(Open, Option<String>)| {
        let completion = text.clone().unwrap_or_default();
        Item { prompt: open.prompt.prompt.clone(), completion }
    };
    let items: Vec<Item> = round.iter().map(item).collect();
    let (mut questions, mut places) = (Vec::new(), Vec::new());
    for (i, ((open, _), item)) in
        round.iter().zip(&items).enumerate().filter(|(_, (_, item))| !item.completion.is_empty())
    {
        for proposition in open.wanted.asked(policy, open.response) {
            questions.push(Question { item, proposition });
            places.push((i, proposition));
        }
    }
    let mut answers = vec![BTreeMap::new(); round.len()];
    grader.grade(policy, &questions, &mut |question, verdict| {
        let (i, proposition) = places[question];
        let p = match verdict {
            Verdict::Probability { yes, .. } => Some(yes),
            Verdict::Missing { .. } => None,
        };
        answers[i].insert(proposition, p);
        Ok(())
    })?;
    Ok(answers)
}

/// Write what the prompts want and the file lacks. `write` makes a text of each draft, or none where a draft is too long for the model;
/// texts that the grader does not find as wanted are written again. Each completion is in the file as soon as it is known; whatever stops
/// this, the next call goes on there. `progress` is told after each round what was made, and says whether to go on.
pub fn synthesise(
    policy: &Policy,
    prompts: &[Prompt],
    settings: &Synthesis,
    write: &mut dyn FnMut(&[Draft]) -> Result<Vec<Option<String>>>,
    grader: &mut dyn Grader,
    journal: &mut Journal,
    progress: &mut dyn FnMut(&Made) -> bool,
) -> Result<Made> {
    let by = grader.identity();
    let settings_identity = settings.identity(policy, &by);
    if let Some(other) = journal.rows.iter().find(|(_, made)| **made != settings_identity) {
        let path = journal.completions.file.path().display();
        let what = format!(
            "{path} holds completions of another policy, model, grader, seed, number of tries or threshold: {}",
            other.0
        );
        return Err(Error::Invalid { what, hint: "the settings of before, or another --out".to_owned() });
    }
    let (mut queue, mut made) = (Vec::new(), Made::default());
    for prompt in prompts {
        let invalid = |what: String| Error::Invalid { what, hint: "tony rbr synth --help".to_owned() };
        let response = policy.written(&prompt.response_type).map_err(invalid)?;
        for (k, wanted) in wanted(policy, prompt, settings.seed).map_err(invalid)?.into_iter().enumerate() {
            let id = format!("{}-{k}", identity(prompt));
            made.wanted += 1;
            if journal.rows.contains_key(&id) {
                made.before += 1;
            } else {
                queue.push(Open { id, prompt, response, wanted, tried: 0 });
            }
        }
    }
    queue.reverse();
    while !queue.is_empty() {
        let round = queue.split_off(queue.len().saturating_sub(settings.batch.max(1)));
        let drafts: Vec<Draft> = round.iter().rev().map(|open| open.draft(policy, settings.seed)).collect();
        let texts = write(&drafts)?;
        let mut again = Vec::new();
        let round: Vec<(Open, Option<String>)> = round.into_iter().rev().zip(texts).collect();
        let answers = graded(policy, &round, grader)?;
        for ((mut open, text), answers) in round.into_iter().zip(answers) {
            made.texts += usize::from(text.is_some());
            open.tried += 1;
            let truth: Vec<Option<bool>> = settings
                .thresholds
                .iter()
                .enumerate()
                .map(|(i, threshold)| answers.get(&i).copied().flatten().map(|p| p >= *threshold))
                .collect();
            let fits = !answers.is_empty() && open.wanted.is(policy, &truth);
            if !fits && text.is_some() && open.tried < settings.tries {
                again.push(open);
                continue;
            }
            let names: Vec<&str> = policy.propositions().collect();
            let of_name = |i: &usize| names[*i].to_owned();
            journal.append(&Line {
                id: &open.id,
                made_with: &settings_identity,
                prompt: &open.prompt.prompt,
                completion: text.filter(|_| fits).map(|content| [Message { role: "assistant".to_owned(), content }]),
                response_type: &open.prompt.response_type,
                category: open.prompt.category.as_deref(),
                completion_type: open.wanted.label,
                traits: open.wanted.must.iter().map(|(i, wanted)| (of_name(i), *wanted)).collect(),
                features: answers.iter().map(|(i, p)| (of_name(i), *p)).collect(),
                grader: &by,
                tries: open.tried,
            })?;
            made.made += usize::from(fits);
            made.given_up += usize::from(!fits);
        }
        again.reverse();
        queue.append(&mut again);
        if !progress(&made) {
            break;
        }
    }
    Ok(made)
}

/// Texts of drafts by a model, trimmed, at most `max_tokens` long; none where draft and text together are longer than the model takes.
pub fn write_drafts(
    model: &Model,
    drafts: &[Draft],
    max_tokens: usize,
    sampling: Sampling,
) -> Result<Vec<Option<String>>> {
    let mut writer = Writer::new(model, drafts.len());
    let (mut places, mut texts) = (BTreeMap::new(), vec![None; drafts.len()]);
    for (i, draft) in drafts.iter().enumerate() {
        let prompt = if model.can_chat() {
            model.chat(&draft.messages)?
        } else {
            let said = draft.messages.iter().map(|message| message.content.as_str());
            let text = said.chain(["ASSISTANT:"]).collect::<Vec<_>>().join("\n\n");
            model.raw(&text)?
        };
        if prompt.len() + max_tokens <= model.decoder.config().context {
            let request =
                Request { prompt, max_tokens, sampling, seed: draft.seed, stops: Vec::new(), constraint: None };
            places.insert(writer.add(request)?, i);
            texts[i] = Some(String::new());
        }
    }
    while writer.pending() > 0 {
        for event in writer.step()? {
            if let Some(text) = &mut texts[places[&event.request]] {
                text.push_str(&event.text);
            }
        }
    }
    // Small models like to name the speaker first.
    let bare = |text: String| text.trim().trim_start_matches("ASSISTANT:").trim_start().to_owned();
    Ok(texts.into_iter().map(|text| text.map(bare)).collect())
}

/// A row: a completion, or one that was given up.
#[derive(Serialize)]
struct Line<'a> {
    id: &'a str,
    made_with: &'a str,
    prompt: &'a [Message],
    #[serde(skip_serializing_if = "Option::is_none")]
    completion: Option<[Message; 1]>,
    response_type: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    category: Option<&'a str>,
    completion_type: &'a str,
    /// What was drawn, or is asked of its kind beside the class.
    traits: BTreeMap<String, bool>,
    features: BTreeMap<String, Option<f64>>,
    grader: &'a str,
    tries: usize,
}

/// How each row begins.
const BEGINNING: &str = "{\"id\":\"";

/// What is looked at of a row that is there.
#[derive(Deserialize)]
struct Head {
    id: String,
    made_with: String,
}

/// The files that completions, and those that were given up, are appended to, one at a time.
#[derive(Debug)]
pub struct Journal {
    completions: Log,
    given_up: Log,
    /// What is in them, by name, and what that was made with.
    rows: BTreeMap<String, String>,
}

/// A file of whole lines.
#[derive(Debug)]
struct Log {
    file: fs_err::File,
    /// Length of its whole lines.
    length: u64,
}

impl Journal {
    /// Open a file for completions and one beside it, whose name ends in `.given-up`, or begin them, for this process alone. A last line
    /// that is not whole, as a kill leaves it, is cut off.
    pub fn open(path: &Path) -> Result<Self> {
        let mut beside = path.as_os_str().to_owned();
        beside.push(".given-up");
        let mut rows = BTreeMap::new();
        let completions = Log::open(path, &mut rows)?;
        Ok(Self { completions, given_up: Log::open(Path::new(&beside), &mut rows)?, rows })
    }

    /// Append a row, down to the disk. A disk that is full costs this row and none before.
    fn append(&mut self, row: &Line) -> Result<()> {
        let mut line = serde_json::to_vec(row).map_err(std::io::Error::from)?;
        line.push(b'\n');
        let log = if row.completion.is_some() { &mut self.completions } else { &mut self.given_up };
        if let Err(error) = log.file.write_all(&line).and_then(|()| log.file.sync_data()) {
            // The error that matters is the first one; what is left of the line is cut off when the file is next opened.
            let _ = log.cut();
            let what = format!(
                "{error}; {} completions are finished, and the same command goes on from there",
                self.rows.len()
            );
            return Err(std::io::Error::new(error.kind(), what).into());
        }
        log.length += line.len() as u64;
        self.rows.insert(row.id.to_owned(), row.made_with.to_owned());
        Ok(())
    }
}

impl Log {
    fn open(path: &Path, rows: &mut BTreeMap<String, String>) -> Result<Self> {
        let bad = |line: usize, what: String| Error::Data { path: path.to_owned(), line, what };
        let mut file = fs_err::OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)?;
        match file.file().try_lock() {
            Err(TryLockError::WouldBlock) => {
                let what = format!("another process is writing {}", path.display());
                return Err(Error::Invalid { what, hint: "another --out FILE".to_owned() });
            }
            // A file system without locks is no reason to write nothing.
            Ok(()) | Err(TryLockError::Error(_)) => {}
        }
        let mut text = Vec::new();
        file.read_to_end(&mut text)?;
        let length = text.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        let lines = text[..length].split_inclusive(|byte| *byte == b'\n');
        let (count, torn) = (lines.clone().count(), &text[length..]);
        let begun = torn.len().min(BEGINNING.len());
        if torn[..begun] != BEGINNING.as_bytes()[..begun] {
            return Err(bad(count + 1, "it is no row of a synthesis".to_owned()));
        }
        for (i, line) in lines.enumerate() {
            let head: Head = serde_json::from_slice(line)
                .map_err(|error| bad(i + 1, format!("it is no row of a synthesis: {error}")))?;
            rows.insert(head.id, head.made_with);
        }
        let mut log = Self { file, length: length as u64 };
        log.cut()?;
        Ok(log)
    }

    /// Back to the last whole line.
    fn cut(&mut self) -> Result<()> {
        self.file.set_len(self.length)?;
        self.file.seek(SeekFrom::Start(self.length))?;
        Ok(())
    }
}
