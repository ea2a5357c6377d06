use crate::settings::{self, Field, Settings, field_of};
use crate::{Error, Result};
use std::fmt::Write as _;
use std::path::Path;
use std::{fmt, mem};

/// Format number of `plan.toml`.
const FORMAT: u64 = 1;

/// Where a setting's value came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// The default.
    Default,
    /// A preset, by name.
    Preset(String),
    /// A settings file, by path.
    File(String),
    /// The command line.
    CommandLine,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::Preset(name) => write!(f, "preset {name}"),
            Self::File(path) => write!(f, "file {path}"),
            Self::CommandLine => f.write_str("command line"),
        }
    }
}

impl Source {
    /// Reads what `Display` wrote.
    fn parse(text: &str) -> Option<Self> {
        match text {
            "default" => Some(Self::Default),
            "command line" => Some(Self::CommandLine),
            _ => match text.split_once(' ')? {
                ("preset", name) => Some(Self::Preset(name.to_owned())),
                ("file", path) => Some(Self::File(path.to_owned())),
                _ => None,
            },
        }
    }
}

/// Assignments that come from one place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layer {
    /// The place.
    pub source: Source,
    /// Key and text of each assignment. Of several to one key the last counts.
    pub entries: Vec<(String, String)>,
}

impl Layer {
    /// A named set of values.
    pub fn preset<'a>(name: &str, entries: impl IntoIterator<Item = &'a (&'a str, &'a str)>) -> Self {
        let entries = entries.into_iter().map(|(key, text)| ((*key).to_owned(), (*text).to_owned())).collect();
        Self { source: Source::Preset(name.to_owned()), entries }
    }

    /// A TOML file; tables and dotted keys are the same thing: `[cost.limit]` with `hazards = 20` sets `cost.limit.hazards`.
    pub fn file(path: &Path) -> Result<Self> {
        let bad = |reason: String| Error::BadSettings { path: path.to_owned(), reason };
        let text = fs_err::read_to_string(path).map_err(|error| bad(reason_of(&error)))?;
        let table: toml::Table = text.parse().map_err(|error: toml::de::Error| bad(place(&text, &error)))?;
        let mut entries = Vec::new();
        flatten("", &table, &mut entries).map_err(bad)?;
        Ok(Self { source: Source::File(path.display().to_string()), entries })
    }

    /// Words of the form `key=value`.
    pub fn command_line<S: AsRef<str>>(words: &[S]) -> Result<Self> {
        let assignment = |word: &S| match word.as_ref().split_once('=') {
            Some((key, text)) if !key.trim().is_empty() => Ok((key.trim().to_owned(), text.trim().to_owned())),
            _ => Err(Error::NotAssignment { word: word.as_ref().to_owned() }),
        };
        Ok(Self { source: Source::CommandLine, entries: words.iter().map(assignment).collect::<Result<_>>()? })
    }

    /// Takes a key out that is not a setting but chooses other layers, for example `preset`.
    pub fn take(&mut self, key: &str) -> Option<String> {
        let (taken, rest) = mem::take(&mut self.entries).into_iter().partition(|(k, _)| k == key);
        self.entries = rest;
        let taken: Vec<(String, String)> = taken;
        taken.into_iter().next_back().map(|(_, text)| text)
    }
}

/// One resolved setting.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Dotted key.
    pub key: String,
    /// Value in its one stored form.
    pub text: String,
    /// Where it came from.
    pub source: Source,
    /// What it means; empty in a plan that was read from a file until [`Plan::check`] ran.
    pub doc: String,
}

/// What a setting means is documentation, not part of a plan.
impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        (&self.key, &self.text, &self.source) == (&other.key, &other.text, &other.source)
    }
}

/// Everything that was decided before the first step: each setting's value and where it came from. Stored as `plan.toml`.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// The algorithm's name, for example `cpo`.
    pub algorithm: String,
    /// The environment's full name.
    pub env: String,
    /// Settings in the order of their declaration.
    pub entries: Vec<Entry>,
}

impl Plan {
    /// Lays `layers` (later ones win) over the defaults of `fields`.
    ///
    /// An unknown key is an error that names the nearest one; a value that is not allowed is an error that says what is.
    pub fn resolve(algorithm: &str, env: &str, fields: &[Field], layers: &[Layer]) -> Result<Self> {
        let mut entries: Vec<Vec<Entry>> = fields.iter().map(default_entries).collect();
        for layer in layers {
            let mut named: Vec<Vec<Entry>> = vec![Vec::new(); fields.len()];
            for (key, text) in &layer.entries {
                let text = settings::check(fields, key, text, &layer.source)?;
                let owner = field_of(fields, key).map(|field| field.key);
                let Some(index) = fields.iter().position(|field| Some(field.key) == owner) else { continue };
                let entry =
                    Entry { key: key.clone(), text, source: layer.source.clone(), doc: fields[index].doc.clone() };
                named[index].retain(|earlier| earlier.key != entry.key);
                named[index].push(entry);
            }
            // A place that names any part of a setting replaces the whole of it (see `Limits`).
            for (old, new) in entries.iter_mut().zip(named) {
                if !new.is_empty() {
                    *old = new;
                }
            }
        }
        for parts in &mut entries {
            parts.sort_by(|a, b| a.key.cmp(&b.key));
        }
        Ok(Self { algorithm: algorithm.into(), env: env.into(), entries: entries.concat() })
    }

    /// The text of a setting.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.entries.iter().find(|entry| entry.key == key).map(|entry| entry.text.as_str())
    }

    /// One group of settings with the plan's values.
    pub fn group<S: Settings + Default>(&self) -> Result<S> {
        let mut group = S::default();
        self.apply(&mut group)?;
        Ok(group)
    }

    /// Writes the plan's values into one group. Keys of other groups are passed over.
    pub fn apply<S: Settings>(&self, group: &mut S) -> Result<()> {
        let fields = S::fields();
        for field in &fields {
            let mut parts = self.entries.iter().filter(|entry| field.owns(&entry.key)).peekable();
            if field.named && parts.peek().is_some() {
                group.set(field.key, "none")?;
            }
            for entry in parts {
                let text = settings::check(&fields, &entry.key, &entry.text, &entry.source)?;
                group.set(&entry.key, &text)?;
            }
        }
        Ok(())
    }

    /// For a plan that was read from a file: every key must be known and every value allowed. Settings that the file lacks,
    /// because they are younger than it, take their defaults.
    pub fn check(self, fields: &[Field]) -> Result<Self> {
        let mut entries = Vec::with_capacity(self.entries.len());
        for field in fields {
            let owned = |entry: &&Entry| field_of(fields, &entry.key).is_some_and(|owner| owner.key == field.key);
            let mut own: Vec<Entry> = self.entries.iter().filter(owned).cloned().collect();
            if own.is_empty() {
                own = default_entries(field);
            }
            entries.extend(own.into_iter().map(|entry| Entry { doc: field.doc.clone(), ..entry }));
        }
        for entry in &self.entries {
            settings::check(fields, &entry.key, &entry.text, &entry.source)?;
        }
        Ok(Self { entries, ..self })
    }

    /// The plan as a page to read, and as TOML.
    pub fn to_toml(&self) -> String {
        let mut text = format!(
            "# What this run was asked to do: each setting with its value and where it came from.\n\
             format = {FORMAT}\nalgorithm = {}\nenv = {}\ncount = {}\n\n[settings]\n",
            quoted(&self.algorithm),
            quoted(&self.env),
            self.entries.len(),
        );
        let mut doc = "";
        for entry in &self.entries {
            if entry.doc != doc {
                doc = &entry.doc;
                for line in doc.lines() {
                    // Writing to a `String` cannot fail.
                    let _ = writeln!(text, "# {line}");
                }
            }
            let (key, from) = (quoted(&entry.key), quoted(&entry.source.to_string()));
            let _ = writeln!(text, "{key} = {{ value = {}, from = {from} }}", literal(&entry.text));
        }
        text
    }

    /// Reads what [`Plan::to_toml`] wrote, exactly. `path` is named in errors.
    pub fn from_toml(text: &str, path: &Path) -> Result<Self> {
        let bad = |reason: String| Error::Damaged { path: path.to_owned(), reason };
        let table: toml::Table = text.parse().map_err(|error: toml::de::Error| bad(place(text, &error)))?;
        let format = table.get("format").and_then(toml::Value::as_integer);
        match format.and_then(|format| u64::try_from(format).ok()) {
            Some(FORMAT) => {}
            Some(found) if found > FORMAT => {
                return Err(Error::NewerFormat { path: path.to_owned(), found, known: FORMAT });
            }
            _ => return Err(bad("`format` is missing or not a known number".into())),
        }
        let word = |key: &str| match table.get(key).and_then(toml::Value::as_str) {
            Some(word) => Ok(word.to_owned()),
            None => Err(bad(format!("`{key}` is missing or not a text"))),
        };
        let settings = table.get("settings").and_then(toml::Value::as_table);
        let settings = settings.ok_or_else(|| bad("the table `settings` is missing".into()))?;
        // A file that lost its end is still TOML.
        let count = table.get("count").and_then(toml::Value::as_integer);
        if count != i64::try_from(settings.len()).ok() {
            let count = count.map_or("`count` is missing".into(), |count| format!("`count` says {count}"));
            return Err(bad(format!("it holds {} settings, but {count}: some are lost", settings.len())));
        }
        let mut entries = Vec::with_capacity(settings.len());
        for (key, value) in settings {
            let entry = value.as_table().and_then(|entry| {
                let source = Source::parse(entry.get("from")?.as_str()?)?;
                Some(Entry { key: key.clone(), text: text_of(entry.get("value")?)?, source, doc: String::new() })
            });
            entries.push(entry.ok_or_else(|| bad(format!("`{key}` is not of the form {{ value = .., from = .. }}")))?);
        }
        Ok(Self { algorithm: word("algorithm")?, env: word("env")?, entries })
    }

    /// Reads a `plan.toml`.
    pub fn read(path: &Path) -> Result<Self> {
        Self::from_toml(&fs_err::read_to_string(path)?, path)
    }
}

fn default_entries(field: &Field) -> Vec<Entry> {
    let entry = |(key, text): &(String, String)| Entry {
        key: key.clone(),
        text: text.clone(),
        source: Source::Default,
        doc: field.doc.clone(),
    };
    field.defaults.iter().map(entry).collect()
}

/// Nested tables to dotted keys.
fn flatten(prefix: &str, table: &toml::Table, entries: &mut Vec<(String, String)>) -> std::result::Result<(), String> {
    for (key, value) in table {
        let key = if prefix.is_empty() { key.clone() } else { format!("{prefix}.{key}") };
        match value {
            toml::Value::Table(table) => flatten(&key, table, entries)?,
            value => {
                let text =
                    text_of(value).ok_or_else(|| format!("`{key}` has a value that no setting takes: {value}"))?;
                entries.push((key, text));
            }
        }
    }
    Ok(())
}

/// A TOML value as the text of a setting.
fn text_of(value: &toml::Value) -> Option<String> {
    match value {
        toml::Value::String(text) => Some(text.clone()),
        toml::Value::Integer(number) => Some(number.to_string()),
        toml::Value::Float(number) => Some(format!("{number:?}")),
        toml::Value::Boolean(truth) => Some(truth.to_string()),
        toml::Value::Array(items) => {
            let items: Option<Vec<String>> = items.iter().map(text_of).collect();
            Some(format!("[{}]", items?.join(", ")))
        }
        toml::Value::Datetime(_) | toml::Value::Table(_) => None,
    }
}

/// The text of a setting as a TOML value: bare where that reads back as the very same text, else quoted.
fn literal(text: &str) -> String {
    let bare = format!("value = {text}").parse::<toml::Table>().ok();
    let same =
        bare.is_some_and(|table| table.len() == 1 && table.get("value").and_then(text_of).as_deref() == Some(text));
    if same && !text.contains(['\n', '#', '"', '\'']) { text.to_owned() } else { quoted(text) }
}

fn quoted(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}

/// Line and message of a TOML error, on one line.
fn place(text: &str, error: &toml::de::Error) -> String {
    let message = error.message().replace('\n', " ");
    match error.span().and_then(|span| text.get(..span.start)) {
        Some(before) => format!("line {}: {message}", before.matches('\n').count() + 1),
        None => message,
    }
}

/// The reason without the path, which the error that wraps it names.
fn reason_of(error: &std::io::Error) -> String {
    std::error::Error::source(error).map_or_else(|| error.to_string(), ToString::to_string)
}
