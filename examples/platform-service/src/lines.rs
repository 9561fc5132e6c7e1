//! One event is one line of the log, and tells a terminal nothing: what others wrote cannot end the
//! line, begin another one, or reach whoever reads it with `cat`.

use crate::log_queue::Queue;
use crate::telemetry::LogFormat;
use std::io::{self, Write};
use tracing_subscriber::fmt::MakeWriter;

/// Puts lines into the queue of the log.
#[derive(Clone, Debug)]
pub(crate) struct Lines {
    shape: Shape,
    to: Queue,
}

/// What a line looks like.
#[derive(Clone, Copy, Debug)]
struct Shape {
    format: LogFormat,
    colours: Colours,
}

/// Whether the log is written with colours, for a terminal.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Colours {
    /// It is: its own escapes are left alone, for the formatter has escaped all others.
    Some,
    /// It is not.
    None,
}

impl Lines {
    pub(crate) const fn new(format: LogFormat, colours: Colours, to: Queue) -> Self {
        Self { shape: Shape { format, colours }, to }
    }
}

impl Shape {
    /// An event as one line.
    fn line(self, event: &str) -> String {
        let (event, end) = event.strip_suffix('\n').map_or((event, ""), |event| (event, "\n"));
        let mut line = String::with_capacity(event.len());
        for char in event.chars() {
            if !is_unsafe(char) || (char == '\u{1b}' && self.colours == Colours::Some) {
                line.push(char);
            } else if self.format == LogFormat::Json {
                // In JSON such a character can only be in a string, where this means the same.
                line.push_str(&format!("\\u{:04x}", u32::from(char)));
            } else {
                line.extend(char.escape_default());
            }
        }
        line + end
    }
}

/// Whether a character ends lines, steers terminals, or turns text around.
fn is_unsafe(char: char) -> bool {
    let is_tab = char == '\t';
    let breaks = matches!(char, '\u{2028}' | '\u{2029}');
    let turns =
        matches!(char, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    (char.is_control() && !is_tab) || breaks || turns
}

/// The subscriber writes each event at once, as a whole.
#[derive(Debug)]
pub(crate) struct Line<'a>(&'a Lines);

impl Write for Line<'_> {
    fn write(&mut self, event: &[u8]) -> io::Result<usize> {
        self.0.to.take(self.0.shape.line(&String::from_utf8_lossy(event)));
        Ok(event.len())
    }

    /// Nobody waits for the reader of the log.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Lines {
    type Writer = Line<'a>;

    fn make_writer(&'a self) -> Line<'a> {
        Line(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOSTILE: &str = "a\nERROR b\r\u{1b}[2J\u{9b}31m\u{7f}\u{202e}c\u{2028}\td";

    #[test]
    fn an_event_is_one_line_whatever_is_in_it() {
        let text = Shape { format: LogFormat::Text, colours: Colours::None };
        let line = text.line(&format!("{HOSTILE}\n"));
        assert_eq!(line.matches('\n').count(), 1);
        assert!(line.ends_with('\n') && !line.trim_end().chars().any(is_unsafe), "{line:?}");
        assert!(line.contains("a\\nERROR b\\r\\u{1b}[2J\\u{9b}31m"), "{line:?}");
    }

    #[test]
    fn a_line_of_json_means_what_the_event_meant() {
        let json = Shape { format: LogFormat::Json, colours: Colours::None };
        let event = serde_json::json!({"message": HOSTILE}).to_string() + "\n";
        let line = json.line(&event);
        assert!(!line.trim_end().chars().any(is_unsafe), "{line:?}");
        let read: serde_json::Value = serde_json::from_str(&line).unwrap_or_default();
        assert_eq!(read["message"], HOSTILE);
    }

    #[test]
    fn colours_of_the_formatter_are_left_alone_and_nothing_else_is() {
        let coloured = Shape { format: LogFormat::Text, colours: Colours::Some };
        assert_eq!(coloured.line("\u{1b}[2mx\u{1b}[0m\ny\n"), "\u{1b}[2mx\u{1b}[0m\\ny\n");
    }
}
