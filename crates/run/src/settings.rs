//! Settings: typed values with a key, a documented meaning and a range, declared once.
//!
//! [`settings!`](crate::settings!) declares a group; its doc comments are the manual page. [`choices!`](crate::choices!) declares a
//! setting that is one of a few words. How texts from several places become one [`Plan`](crate::Plan) is in [`crate::Plan::resolve`].

use crate::{Error, Result, Source};
use std::collections::BTreeMap;
use std::ops::{Bound, RangeBounds};

/// Declares a group of settings.
///
/// ```
/// tony_run::settings! {
///     /// Proximal Policy Optimization
///     pub struct Config {
///         /// Probability ratios are clipped to 1 plus or minus this.
///         "clip" clip: f64 = 0.2, (0.0..=1.0);
///         /// Hidden layers of policy and critics.
///         "hidden" hidden: Vec<usize> = vec![64, 64];
///         /// Step size of Adam.
///         "lr" lr: f64 = 3e-4, if |v| *v > 0.0, "a number above 0";
///     }
/// }
/// use tony_run::Settings;
/// let mut config = Config::default();
/// assert!(config.set("hidden", "256,256").unwrap());
/// assert_eq!(config.hidden, [256, 256]);
/// assert!(config.set("clip", "1.5").is_err());
/// ```
///
/// Each line is `"key" field: type = default`, then optionally `, (range)` or `, if |value| condition, "what is allowed"`.
/// The struct gets public fields, `Clone`, `Debug`, `PartialEq`, `Default` and [`Settings`]. Types are those with [`Value`].
#[macro_export]
macro_rules! settings {
    (
        $(#[doc = $about:expr])*
        $vis:vis struct $name:ident {
            $(
                $(#[doc = $doc:expr])*
                $key:literal $field:ident : $ty:ty = $default:expr
                $(, ($range:expr))?
                $(, if $check:expr, $allowed:literal)?
                ;
            )*
        }
    ) => {
        $(#[doc = $about])*
        #[derive(Clone, Debug, PartialEq)]
        $vis struct $name {
            $(
                $(#[doc = $doc])*
                pub $field: $ty,
            )*
        }

        impl Default for $name {
            fn default() -> Self {
                Self { $($field: $default),* }
            }
        }

        impl $crate::settings::Settings for $name {
            fn fields() -> Vec<$crate::settings::Field> {
                #[allow(unused_variables, reason = "a group may be empty")]
                let (about, default) = (concat!($($about, "\n"),*), Self::default());
                vec![$({
                    fn read(name: &str, text: &str) -> Option<$ty> {
                        let value = <$ty as $crate::settings::Value>::read(name, text)?;
                        $(
                            if !::std::ops::RangeBounds::<$ty>::contains(&($range), &value) {
                                return None;
                            }
                        )?
                        $(
                            let check: fn(&$ty) -> bool = $check;
                            if !check(&value) {
                                return None;
                            }
                        )?
                        Some(value)
                    }
                    #[allow(unused_mut, unused_assignments, reason = "only some settings say more than their type")]
                    let mut allowed = <$ty as $crate::settings::Value>::kind();
                    $(allowed = $crate::settings::describe::<$ty>(&($range));)?
                    $(allowed = String::from($allowed);)?
                    $crate::settings::Field::new::<$ty>(
                        about,
                        $key,
                        concat!($($doc, "\n"),*),
                        &default.$field,
                        allowed,
                        |name, text| $crate::settings::canonical(&read(name, text)?),
                    )
                }),*]
            }

            #[allow(unused_variables, reason = "a group may be empty")]
            fn set(&mut self, key: &str, text: &str) -> $crate::Result<bool> {
                $(
                    if let Some(name) = $crate::settings::name_in::<$ty>($key, key) {
                        let fields = <Self as $crate::settings::Settings>::fields();
                        let text = $crate::settings::check(&fields, key, text, &$crate::Source::Default)?;
                        if let Some(value) = <$ty as $crate::settings::Value>::read(name, &text) {
                            $crate::settings::Value::merge(&mut self.$field, value);
                        }
                        return Ok(true);
                    }
                )*
                Ok(false)
            }

            #[allow(unused_variables, reason = "a group may be empty")]
            fn get(&self, key: &str) -> Option<String> {
                $(
                    if let Some(name) = $crate::settings::name_in::<$ty>($key, key) {
                        let texts = $crate::settings::Value::texts(&self.$field);
                        return texts.into_iter().find(|(n, _)| n == name).map(|(_, text)| text);
                    }
                )*
                None
            }
        }
    };
}

/// Declares a setting that is one of a few words.
///
/// ```
/// tony_run::choices! {
///     /// How weights start.
///     pub enum Init {
///         /// Uniform, scaled by the inputs.
///         Kaiming = "kaiming",
///         /// Orthogonal rows.
///         Orthogonal = "orthogonal",
///     }
/// }
/// assert_eq!(Init::Kaiming.name(), "kaiming");
/// assert_eq!(Init::ALL.len(), 2);
/// ```
#[macro_export]
macro_rules! choices {
    (
        $(#[doc = $about:expr])*
        $vis:vis enum $name:ident {
            $(
                $(#[doc = $doc:expr])*
                $variant:ident = $text:literal
            ),+ $(,)?
        }
    ) => {
        $(#[doc = $about])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        $vis enum $name {
            $(
                $(#[doc = $doc])*
                $variant,
            )+
        }

        impl $name {
            /// Every choice, in the order of declaration.
            $vis const ALL: &[Self] = &[$(Self::$variant),+];

            /// The word for it.
            $vis fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $text,)+
                }
            }
        }

        impl ::std::fmt::Display for $name {
            fn fmt(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
                f.write_str(self.name())
            }
        }

        impl $crate::settings::Scalar for $name {
            fn kind() -> String {
                let words: Vec<String> = Self::ALL.iter().map(|choice| format!("`{choice}`")).collect();
                format!("one of {}", words.join(", "))
            }

            fn choices() -> Vec<&'static str> {
                Self::ALL.iter().map(|choice| choice.name()).collect()
            }

            fn parse(text: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|choice| choice.name() == text)
            }

            fn text(&self) -> String {
                self.name().to_owned()
            }
        }
    };
}

/// A group of settings; [`settings!`](crate::settings!) implements it.
pub trait Settings {
    /// What there is to set, in the order of declaration.
    fn fields() -> Vec<Field>
    where
        Self: Sized;

    /// Sets `key` from text. `false`: this group has no such key.
    fn set(&mut self, key: &str, text: &str) -> Result<bool>;

    /// The value of `key` as text, in the one form that [`Settings::set`] reads back exactly.
    fn get(&self, key: &str) -> Option<String>;
}

/// One setting: what `--help` shows and what a [`Plan`](crate::Plan) checks against.
#[derive(Clone, Debug)]
pub struct Field {
    /// First line of the group's documentation.
    pub group: String,
    /// Dotted key, for example `cost.limit`.
    pub key: &'static str,
    /// True where keys `KEY.NAME` belong to it as well.
    pub named: bool,
    /// What the setting means.
    pub doc: String,
    /// Type in words, for example `a number`.
    pub kind: String,
    /// What is allowed, for example `a number from 0 to 1`.
    pub allowed: String,
    /// The words to choose from, where it is a choice.
    pub choices: Vec<&'static str>,
    /// The default: pairs of full key and text; more or less than one only for a [`named`](Field::named) setting.
    pub defaults: Vec<(String, String)>,
    check: fn(&str, &str) -> Option<String>,
}

impl Field {
    /// For [`settings!`](crate::settings!): a setting of type `T`.
    #[doc(hidden)]
    pub fn new<T: Value>(
        about: &str,
        key: &'static str,
        doc: &str,
        default: &T,
        allowed: String,
        check: fn(&str, &str) -> Option<String>,
    ) -> Self {
        Self {
            group: tidy(about).lines().next().unwrap_or_default().to_owned(),
            key,
            named: T::NAMED,
            doc: tidy(doc),
            kind: T::kind(),
            allowed,
            choices: T::choices(),
            defaults: default.texts().into_iter().map(|(name, text)| (join(key, &name), text)).collect(),
            check,
        }
    }

    /// The default in one line, for example `25` or `cost.limit.hazards=20 cost.limit.vases=5`.
    pub fn default_text(&self) -> String {
        match self.defaults.as_slice() {
            [(key, text)] if key == self.key => text.clone(),
            many => many.iter().map(|(key, text)| format!("{key}={text}")).collect::<Vec<_>>().join(" "),
        }
    }

    /// True where `key` is this setting's, or `KEY.NAME` of a named setting.
    pub fn owns(&self, key: &str) -> bool {
        name_of(self.key, self.named, key).is_some()
    }

    /// The one form of `text` that is stored, or nothing where it is not allowed.
    pub fn canonical(&self, key: &str, text: &str) -> Option<String> {
        (self.check)(name_of(self.key, self.named, key)?, text)
    }
}

/// A type that a setting can have. Everything but [`Limits`] is a [`Scalar`].
pub trait Value: Clone + PartialEq {
    /// True where `KEY.NAME` sets the part called `NAME`.
    const NAMED: bool;
    /// The type in words, with its article.
    fn kind() -> String;
    /// The words to choose from, where it is a choice.
    fn choices() -> Vec<&'static str>;
    /// Reads the part called `name` (empty for the key itself).
    fn read(name: &str, text: &str) -> Option<Self>;
    /// Takes over what was read.
    fn merge(&mut self, read: Self);
    /// Every part's name and text; [`Value::read`] of each gives the value back exactly.
    fn texts(&self) -> Vec<(String, String)>;
}

/// A value that is written as one text.
pub trait Scalar: Clone + PartialEq {
    /// The type in words, with its article.
    fn kind() -> String;
    /// The words to choose from, where it is a choice.
    fn choices() -> Vec<&'static str> {
        Vec::new()
    }
    /// Reads a text.
    fn parse(text: &str) -> Option<Self>;
    /// Writes the text that [`Scalar::parse`] reads back exactly.
    fn text(&self) -> String;
}

impl<T: Scalar> Value for T {
    const NAMED: bool = false;

    fn kind() -> String {
        T::kind()
    }

    fn choices() -> Vec<&'static str> {
        T::choices()
    }

    fn read(name: &str, text: &str) -> Option<Self> {
        if name.is_empty() { T::parse(text.trim()) } else { None }
    }

    fn merge(&mut self, read: Self) {
        *self = read;
    }

    fn texts(&self) -> Vec<(String, String)> {
        vec![(String::new(), self.text())]
    }
}

impl Scalar for f64 {
    fn kind() -> String {
        "a number".into()
    }

    fn parse(text: &str) -> Option<Self> {
        text.replace('_', "").parse().ok().filter(|value: &f64| value.is_finite())
    }

    fn text(&self) -> String {
        format!("{self:?}")
    }
}

impl Scalar for u64 {
    fn kind() -> String {
        "a whole number".into()
    }

    /// `1000000`, `1_000_000` and `1e6` are the same number.
    fn parse(text: &str) -> Option<Self> {
        let text = text.replace('_', "");
        text.parse().ok().or_else(|| {
            // Every whole f64 up to 2^53 is exact; above, digits are needed.
            let value: f64 = text.parse().ok()?;
            (value.fract() == 0.0 && (0.0..=9_007_199_254_740_992.0).contains(&value)).then_some(value as u64)
        })
    }

    fn text(&self) -> String {
        self.to_string()
    }
}

impl Scalar for usize {
    fn kind() -> String {
        <u64 as Scalar>::kind()
    }

    fn parse(text: &str) -> Option<Self> {
        u64::parse(text)?.try_into().ok()
    }

    fn text(&self) -> String {
        self.to_string()
    }
}

impl Scalar for bool {
    fn kind() -> String {
        "`true` or `false`".into()
    }

    fn choices() -> Vec<&'static str> {
        vec!["true", "false"]
    }

    fn parse(text: &str) -> Option<Self> {
        text.parse().ok()
    }

    fn text(&self) -> String {
        self.to_string()
    }
}

impl Scalar for String {
    fn kind() -> String {
        "a text".into()
    }

    fn parse(text: &str) -> Option<Self> {
        Some(text.to_owned())
    }

    fn text(&self) -> String {
        self.clone()
    }
}

/// `none`, or a value.
impl<T: Scalar> Scalar for Option<T> {
    fn kind() -> String {
        format!("{} or `none`", T::kind())
    }

    fn parse(text: &str) -> Option<Self> {
        if text == "none" { Some(None) } else { T::parse(text).map(Some) }
    }

    fn text(&self) -> String {
        self.as_ref().map_or_else(|| "none".into(), T::text)
    }
}

/// `64,64` or `[64, 64]`; `[]` is the empty list.
impl<T: Scalar> Scalar for Vec<T> {
    fn kind() -> String {
        format!("a list, each {}", T::kind())
    }

    fn parse(text: &str) -> Option<Self> {
        let inner = match text.strip_prefix('[') {
            Some(rest) => rest.strip_suffix(']')?.trim(),
            None if text.is_empty() => return None,
            None => text,
        };
        if inner.is_empty() {
            return Some(Vec::new());
        }
        inner.split(',').map(|item| T::parse(item.trim())).collect()
    }

    fn text(&self) -> String {
        format!("[{}]", self.iter().map(T::text).collect::<Vec<_>>().join(", "))
    }
}

/// Numbers by name: `cost.limit=25` sets the one without a name, `cost.limit.hazards=20` that of `hazards`,
/// `cost.limit=none` removes all.
///
/// A place (preset, file, command line) that names any of them replaces all those of the places before it: limits on
/// `hazards` and `vases` do not leave the default limit on the sum standing.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Limits(BTreeMap<String, f64>);

impl Limits {
    /// The one without a name.
    pub fn one(limit: f64) -> Self {
        Self(BTreeMap::from([(String::new(), limit)]))
    }

    /// Names and numbers in the order of the names; the one without a name comes first, as `""`.
    pub fn iter(&self) -> impl Iterator<Item = (&str, f64)> {
        self.0.iter().map(|(name, &limit)| (name.as_str(), limit))
    }

    /// The number of `name`.
    pub fn get(&self, name: &str) -> Option<f64> {
        self.0.get(name).copied()
    }

    /// True where there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }
}

impl<const N: usize> From<[(&str, f64); N]> for Limits {
    fn from(limits: [(&str, f64); N]) -> Self {
        Self(limits.into_iter().map(|(name, limit)| (name.to_owned(), limit)).collect())
    }
}

impl Value for Limits {
    const NAMED: bool = true;

    fn kind() -> String {
        "a number or `none`".into()
    }

    fn choices() -> Vec<&'static str> {
        Vec::new()
    }

    fn read(name: &str, text: &str) -> Option<Self> {
        if name.is_empty() && text.trim() == "none" {
            return Some(Self::default());
        }
        Some(Self(BTreeMap::from([(name.to_owned(), f64::parse(text.trim())?)])))
    }

    fn merge(&mut self, read: Self) {
        if read.is_empty() {
            self.0.clear();
        }
        self.0.extend(read.0);
    }

    fn texts(&self) -> Vec<(String, String)> {
        if self.is_empty() {
            return vec![(String::new(), "none".into())];
        }
        self.0.iter().map(|(name, limit)| (name.clone(), limit.text())).collect()
    }
}

/// The candidate that is nearest to what was typed, if one is near enough to be meant.
pub fn nearest<'a>(typed: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let typed = typed.to_lowercase();
    // One slip of the fingers is near in a word of three letters too, where the measure for longer words sees none.
    let likeness = |candidate: &str| {
        let slip = typed.len() >= 3 && strsim::damerau_levenshtein(&typed, candidate) <= 1;
        strsim::jaro_winkler(&typed, candidate).max(if slip { 0.9 } else { 0.0 })
    };
    candidates
        .into_iter()
        .map(|candidate| (likeness(&candidate.to_lowercase()), candidate))
        .filter(|(likeness, _)| *likeness > 0.75)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, candidate)| candidate)
}

/// Checks one assignment against `fields` and returns the form of the value that is stored.
#[doc(hidden)]
pub fn check(fields: &[Field], key: &str, text: &str, from: &Source) -> Result<String> {
    let Some(field) = field_of(fields, key) else {
        let near = nearest(key, fields.iter().map(|field| field.key)).and_then(|near| field_of(fields, near));
        let nearest = near.map(|f| format!("; did you mean `{}` ({})?", f.key, f.group)).unwrap_or_default();
        return Err(Error::UnknownKey { key: key.into(), from: from.clone(), nearest });
    };
    field.canonical(key, text).ok_or_else(|| Error::BadValue {
        key: key.into(),
        value: text.into(),
        from: from.clone(),
        allowed: field.allowed.clone(),
    })
}

/// The field that owns `key`: one with exactly this key before one of which it is a name.
pub(crate) fn field_of<'a>(fields: &'a [Field], key: &str) -> Option<&'a Field> {
    fields.iter().find(|field| field.key == key).or_else(|| fields.iter().find(|field| field.owns(key)))
}

#[doc(hidden)]
pub fn name_in<'k, T: Value>(field: &str, key: &'k str) -> Option<&'k str> {
    name_of(field, T::NAMED, key)
}

fn name_of<'k>(field: &str, named: bool, key: &'k str) -> Option<&'k str> {
    match key.strip_prefix(field)? {
        "" => Some(""),
        rest if named => rest.strip_prefix('.').filter(|name| !name.is_empty()),
        _ => None,
    }
}

fn join(key: &str, name: &str) -> String {
    if name.is_empty() { key.to_owned() } else { format!("{key}.{name}") }
}

#[doc(hidden)]
pub fn canonical<T: Value>(value: &T) -> Option<String> {
    value.texts().into_iter().next().map(|(_, text)| text)
}

/// A range in words: `a number from 0 to 1`.
#[doc(hidden)]
pub fn describe<T: Scalar>(range: &impl RangeBounds<T>) -> String {
    let low = match range.start_bound() {
        Bound::Included(low) => Some(("at least", low)),
        Bound::Excluded(low) => Some(("above", low)),
        Bound::Unbounded => None,
    };
    let high = match range.end_bound() {
        Bound::Included(high) => Some(("at most", high)),
        Bound::Excluded(high) => Some(("below", high)),
        Bound::Unbounded => None,
    };
    // 1.0 is the same bound as 1, and longer.
    let bound = |value: &T| value.text().trim_end_matches(".0").to_owned();
    let words = match (low, high) {
        (Some(("at least", low)), Some(("at most", high))) => format!(" from {} to {}", bound(low), bound(high)),
        (Some((above, low)), Some((below, high))) => format!(", {above} {} and {below} {}", bound(low), bound(high)),
        (Some((word, value)), None) | (None, Some((word, value))) => format!(", {word} {}", bound(value)),
        (None, None) => String::new(),
    };
    T::kind() + &words
}

/// Doc comments arrive with one leading space a line.
fn tidy(doc: &str) -> String {
    let lines: Vec<&str> = doc.lines().map(|line| line.strip_prefix(' ').unwrap_or(line).trim_end()).collect();
    lines.join("\n").trim().to_owned()
}
