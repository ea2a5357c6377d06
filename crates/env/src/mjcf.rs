//! A writer of MJCF, MuJoCo's XML model language.
//!
//! A model is a tree of [`Element`]s built in code, so that a task's numbers stand next to the task and no XML is shipped.
//! Numbers are written as the shortest decimal that reads back as the same `f64`: a model never depends on formatting.
//!
//! ```
//! use tony_env::mjcf::Element;
//! let floor = Element::new("geom").text("type", "plane").nums("size", &[3.5, 3.5, 0.1]);
//! let world = Element::new("mujoco").child(Element::new("worldbody").child(floor));
//! assert_eq!(
//!     world.to_string(),
//!     "<mujoco>\n <worldbody>\n  <geom type=\"plane\" size=\"3.5 3.5 0.1\"/>\n </worldbody>\n</mujoco>\n"
//! );
//! ```

use std::fmt;

/// One XML element: a tag, attributes in order, children in order.
#[derive(Clone, Debug, PartialEq)]
pub struct Element {
    tag: &'static str,
    attributes: Vec<(&'static str, String)>,
    children: Vec<Self>,
}

impl Element {
    /// An element without attributes or children.
    pub fn new(tag: &'static str) -> Self {
        Self { tag, attributes: Vec::new(), children: Vec::new() }
    }

    /// Add an attribute of text: a name, a keyword, `"true"`.
    #[must_use]
    pub fn text(mut self, key: &'static str, value: &str) -> Self {
        self.attributes.push((key, value.to_owned()));
        self
    }

    /// Add an attribute of one number.
    #[must_use]
    pub fn num(self, key: &'static str, value: f64) -> Self {
        self.nums(key, &[value])
    }

    /// Add an attribute of several numbers.
    #[must_use]
    pub fn nums(mut self, key: &'static str, values: &[f64]) -> Self {
        let words: Vec<String> = values.iter().map(f64::to_string).collect();
        self.attributes.push((key, words.join(" ")));
        self
    }

    /// Add a child.
    #[must_use]
    pub fn child(mut self, child: Self) -> Self {
        self.children.push(child);
        self
    }

    /// Add children.
    #[must_use]
    pub fn children(mut self, children: impl IntoIterator<Item = Self>) -> Self {
        self.children.extend(children);
        self
    }

    fn write(&self, f: &mut fmt::Formatter<'_>, depth: usize) -> fmt::Result {
        write!(f, "{:depth$}<{}", "", self.tag)?;
        for (key, value) in &self.attributes {
            write!(f, " {key}=\"{}\"", Escaped(value))?;
        }
        if self.children.is_empty() {
            return writeln!(f, "/>");
        }
        writeln!(f, ">")?;
        for child in &self.children {
            child.write(f, depth + 1)?;
        }
        writeln!(f, "{:depth$}</{}>", "", self.tag)
    }
}

/// The document that starts with this element.
impl fmt::Display for Element {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write(f, 0)
    }
}

/// Text of an attribute with the characters escaped that would end it.
struct Escaped<'a>(&'a str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for c in self.0.chars() {
            match c {
                '"' => f.write_str("&quot;")?,
                '&' => f.write_str("&amp;")?,
                '<' => f.write_str("&lt;")?,
                _ => fmt::Write::write_char(f, c)?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_back_exactly() {
        for x in [0.1, 1.0 / 3.0, 1e-10, 4e-5, -0.0, 0.1 + 0.2, 1e300, f64::MIN_POSITIVE] {
            let text = Element::new("a").num("x", x).to_string();
            let back: f64 = text.trim_start_matches("<a x=\"").trim_end().trim_end_matches("\"/>").parse().unwrap();
            assert_eq!(back.to_bits(), x.to_bits());
        }
    }

    #[test]
    fn text_cannot_end_its_attribute() {
        assert_eq!(Element::new("a").text("name", "\"<&").to_string(), "<a name=\"&quot;&lt;&amp;\"/>\n");
    }
}
