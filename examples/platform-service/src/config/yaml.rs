//! YAML as a tree that knows where everything stands. A small YAML on purpose: no anchors, no tags,
//! no merge keys, one document; whatever could surprise is refused with its place.

use super::problem::{Path, Place, Problem};
use saphyr_parser::{Event, Parser, ScalarStyle, Span};

/// Largest file: ten thousand services fit.
const FILE_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Deepest nesting; the configuration needs seven.
const DEPTH_MAX: usize = 32;

/// A value and where it stands.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Node {
    pub(super) at: Place,
    pub(super) value: Value,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value {
    Null,
    Bool(bool),
    Int(i64),
    Text(String),
    List(Vec<Node>),
    Map(Vec<Entry>),
}

/// A key, where it stands, and its value.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Entry {
    pub(super) key: String,
    pub(super) at: Place,
    pub(super) node: Node,
}

impl Node {
    pub(super) fn get(&self, key: &str) -> Option<&Self> {
        self.entries().iter().find(|entry| entry.key == key).map(|entry| &entry.node)
    }

    pub(super) fn entries(&self) -> &[Entry] {
        match &self.value {
            Value::Map(entries) => entries,
            Value::Null | Value::Bool(_) | Value::Int(_) | Value::Text(_) | Value::List(_) => &[],
        }
    }

    pub(super) fn text(&self) -> Option<&str> {
        match &self.value {
            Value::Text(text) => Some(text),
            Value::Null | Value::Bool(_) | Value::Int(_) | Value::List(_) | Value::Map(_) => None,
        }
    }

    pub(super) const fn kind(&self) -> &'static str {
        match self.value {
            Value::Null => "nothing",
            Value::Bool(_) => "true or false",
            Value::Int(_) => "a number",
            Value::Text(_) => "text",
            Value::List(_) => "a list",
            Value::Map(_) => "keys with values",
        }
    }

    /// The same as JSON, without the places.
    pub(super) fn to_json(&self) -> serde_json::Value {
        match &self.value {
            Value::Null => serde_json::Value::Null,
            Value::Bool(value) => (*value).into(),
            Value::Int(value) => (*value).into(),
            Value::Text(text) => text.as_str().into(),
            Value::List(items) => items.iter().map(Self::to_json).collect(),
            Value::Map(entries) => {
                entries.iter().map(|entry| (entry.key.clone(), entry.node.to_json())).collect()
            }
        }
    }
}

/// Reads a file's text. The tree is as whole as it can be made; what had to be left out is among
/// the problems.
pub(super) fn read(text: &str) -> (Node, Vec<Problem>) {
    let mut reader = Reader { parser: Parser::new_from_str(text), problems: Vec::new() };
    let nothing = Node { at: Place::START, value: Value::Map(Vec::new()) };
    if text.len() > FILE_BYTES_MAX {
        let what = format!("the file has more than {FILE_BYTES_MAX} bytes");
        reader.problem(Place::START, &Path::default(), &what, "split it, or name another file");
        return (nothing, reader.problems);
    }
    let read = reader.document();
    if let Err(Stop) = read {
        return (nothing, reader.problems);
    }
    let mut root = read.ok().flatten().unwrap_or(nothing);
    if root.value == Value::Null {
        root.value = Value::Map(Vec::new());
    }
    (root, reader.problems)
}

/// Nothing after this can be made sense of; the problem is noted.
struct Stop;

struct Reader<'a> {
    parser: Parser<'a, saphyr_parser::StrInput<'a>>,
    problems: Vec<Problem>,
}

impl Reader<'_> {
    fn problem(&mut self, at: Place, path: &Path, what: &str, remedy: &str) {
        self.problems.push(Problem::new(at, path, what, remedy));
    }

    fn next(&mut self) -> Result<(Event<'_>, Place), Stop> {
        match self.parser.next_event() {
            Some(Ok((event, span))) => Ok((event, place(span))),
            Some(Err(error)) => {
                let marker = error.marker();
                let at = Place { line: marker.line(), column: marker.col().saturating_add(1) };
                let what = format!("this is not YAML: {}", error.info());
                let remedy = "look at the indentation, the colons and the quotes up to here";
                self.problems.push(Problem::new(at, &Path::default(), what, remedy));
                Err(Stop)
            }
            None => Err(Stop),
        }
    }

    fn document(&mut self) -> Result<Option<Node>, Stop> {
        let mut root = None;
        loop {
            match self.next()? {
                (Event::StreamEnd, _) => return Ok(root),
                (Event::DocumentStart(_), at) if root.is_some() => {
                    let (what, remedy) = ("a second document begins", "keep one, without `---`");
                    self.problem(at, &Path::default(), what, remedy);
                    return Ok(root);
                }
                (Event::DocumentStart(_), _) => {
                    root = Some(self.node(&Path::default(), 0)?);
                }
                (
                    Event::Nothing
                    | Event::StreamStart
                    | Event::DocumentEnd
                    | Event::Alias(_)
                    | Event::Scalar(..)
                    | Event::SequenceStart(..)
                    | Event::SequenceEnd
                    | Event::MappingStart(..)
                    | Event::MappingEnd,
                    _,
                ) => {}
            }
        }
    }

    fn node(&mut self, path: &Path, depth: usize) -> Result<Node, Stop> {
        let (event, at) = self.next()?;
        let event = owned(event);
        self.node_of(event, at, path, depth)
    }

    fn node_of(
        &mut self,
        event: Event<'static>,
        at: Place,
        path: &Path,
        depth: usize,
    ) -> Result<Node, Stop> {
        if depth > DEPTH_MAX {
            self.problem(at, path, "this is nested too deeply", "look at the brackets before it");
            return Err(Stop);
        }
        let value = match event {
            Event::Scalar(text, style, anchor, tag) => {
                self.refuse_extras(at, path, anchor, tag.is_some());
                scalar(text.into_owned(), style)
            }
            Event::SequenceStart(anchor, tag) => {
                self.refuse_extras(at, path, anchor, tag.is_some());
                Value::List(self.items(path, depth)?)
            }
            Event::MappingStart(anchor, tag) => {
                self.refuse_extras(at, path, anchor, tag.is_some());
                Value::Map(self.map(path, depth)?)
            }
            Event::Alias(_) => {
                let remedy = "write out what it stands for";
                self.problem(at, path, "aliases (`*name`) are not used here", remedy);
                Value::Null
            }
            Event::Nothing
            | Event::StreamStart
            | Event::StreamEnd
            | Event::DocumentStart(_)
            | Event::DocumentEnd
            | Event::SequenceEnd
            | Event::MappingEnd => Value::Null,
        };
        Ok(Node { at, value })
    }

    fn refuse_extras(&mut self, at: Place, path: &Path, anchor: usize, has_tag: bool) {
        if anchor != 0 {
            let remedy = "write the value out wherever it is used";
            self.problem(at, path, "anchors (`&name`) are not used here", remedy);
        }
        if has_tag {
            self.problem(at, path, "tags (`!name`) are not used here", "remove the tag");
        }
    }

    fn items(&mut self, path: &Path, depth: usize) -> Result<Vec<Node>, Stop> {
        let mut items = Vec::new();
        loop {
            let (event, at) = self.next()?;
            if event == Event::SequenceEnd {
                return Ok(items);
            }
            let event = owned(event);
            items.push(self.node_of(
                event,
                at,
                &path.item(items.len()),
                depth.saturating_add(1),
            )?);
        }
    }

    fn map(&mut self, path: &Path, depth: usize) -> Result<Vec<Entry>, Stop> {
        let mut entries: Vec<Entry> = Vec::new();
        loop {
            let (event, at) = self.next()?;
            let event = owned(event);
            if event == Event::MappingEnd {
                return Ok(entries);
            }
            let deeper = depth.saturating_add(1);
            let Event::Scalar(key, ..) = &event else {
                self.problem(at, path, "this key is not a word", "use a plain word as the key");
                self.node_of(event, at, path, deeper)?;
                self.node(path, deeper)?;
                continue;
            };
            let key = key.clone().into_owned();
            let here = path.key(&key);
            let node = self.node(&here, deeper)?;
            let first = entries.iter().find(|entry| entry.key == key).map(|entry| entry.at.line);
            match first {
                Some(line) => {
                    let what = format!("the key is there twice, first in line {line}");
                    self.problem(at, &here, &what, "keep one of the two");
                }
                None => entries.push(Entry { key, at, node }),
            }
        }
    }
}

fn place(span: Span) -> Place {
    Place { line: span.start.line(), column: span.start.col().saturating_add(1) }
}

fn owned(event: Event<'_>) -> Event<'static> {
    match event {
        Event::Nothing => Event::Nothing,
        Event::StreamStart => Event::StreamStart,
        Event::StreamEnd => Event::StreamEnd,
        Event::DocumentStart(explicit) => Event::DocumentStart(explicit),
        Event::DocumentEnd => Event::DocumentEnd,
        Event::Alias(id) => Event::Alias(id),
        Event::Scalar(text, style, anchor, tag) => {
            let tag = tag.map(|tag| std::borrow::Cow::Owned(tag.into_owned()));
            Event::Scalar(text.into_owned().into(), style, anchor, tag)
        }
        Event::SequenceStart(anchor, tag) => {
            Event::SequenceStart(anchor, tag.map(|tag| std::borrow::Cow::Owned(tag.into_owned())))
        }
        Event::SequenceEnd => Event::SequenceEnd,
        Event::MappingStart(anchor, tag) => {
            Event::MappingStart(anchor, tag.map(|tag| std::borrow::Cow::Owned(tag.into_owned())))
        }
        Event::MappingEnd => Event::MappingEnd,
    }
}

/// What a scalar means by YAML 1.2's core schema, as far as the configuration has such values.
fn scalar(text: String, style: ScalarStyle) -> Value {
    if style != ScalarStyle::Plain {
        return Value::Text(text);
    }
    match text.as_str() {
        "" | "~" | "null" | "Null" | "NULL" => Value::Null,
        "true" | "True" | "TRUE" => Value::Bool(true),
        "false" | "False" | "FALSE" => Value::Bool(false),
        _ => text.parse().map_or(Value::Text(text), Value::Int),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn problems(text: &str) -> Vec<String> {
        let said = |p: &Problem| format!("{}:{} {} {}", p.at.line, p.at.column, p.path, p.what);
        read(text).1.iter().map(said).collect()
    }

    #[test]
    fn values_are_read_with_their_places() {
        let (root, problems) = read("a: 1\nb:\n  c: [x, \"7\", true]\n  d:\n");
        assert!(problems.is_empty(), "{problems:?}");
        assert_eq!(
            root.to_json(),
            serde_json::json!({"a": 1, "b": {"c": ["x", "7", true], "d": null}})
        );
        let c = root.get("b").unwrap().entries().first().unwrap();
        assert_eq!((c.at.line, c.at.column), (3, 3));
        assert_eq!((c.node.at.line, c.node.at.column), (3, 6));
    }

    #[test]
    fn what_could_surprise_is_refused_with_its_place() {
        for (text, said) in [
            ("a: &x 1\nb: *x\n", "2:4 b aliases (`*name`) are not used here"),
            ("a: &x 1\n", "1:4 a anchors (`&name`) are not used here"),
            ("a: !!str 1\n", "1:4 a tags (`!name`) are not used here"),
            ("a: 1\nb: 2\na: 3\n", "3:1 a the key is there twice, first in line 1"),
            ("a: 1\n---\nb: 2\n", "2:1  a second document begins"),
            ("? [a]\n: 1\n", "1:3  this key is not a word"),
        ] {
            assert!(problems(text).contains(&said.to_owned()), "{text}: {:?}", problems(text));
        }
        assert!(problems("a: [1\n").first().unwrap().contains("this is not YAML"));
        assert!(problems(&"[".repeat(100)).iter().any(|p| p.contains("nested too deeply")));
    }

    #[test]
    fn a_bomb_of_aliases_is_not_lit() {
        let mut bomb = "a: &a [x, x]\n".to_owned();
        for (before, name) in ('a'..='y').zip('b'..='z') {
            bomb.push_str(&format!("{name}: &{name} [*{before}, *{before}]\n"));
        }
        assert!(problems(&bomb).len() >= 50);
    }

    proptest! {
        #[test]
        fn any_text_is_read_without_panic_and_every_place_is_in_it(text in "\\PC{0,200}|([a-c:\\- \\n\\[\\]{}&*!'\"#]{0,80})") {
            let lines = text.lines().count() + 2;
            for problem in read(&text).1 {
                prop_assert!(problem.at.line >= 1 && problem.at.line <= lines);
            }
        }
    }
}
