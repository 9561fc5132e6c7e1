//! Text of others on a terminal.

use core::fmt::{self, Write as _};

/// Longest text that is shown whole.
const CHARS_MAX: usize = 4_000;

/// Text of others, harmless: what would move the cursor, hide or turn text round is spelled out.
pub(crate) struct Shown<'a>(pub(crate) &'a str);

fn is_harmful(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}'
            | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e0fff}')
}

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, c) in self.0.chars().enumerate() {
            if place == CHARS_MAX {
                return f.write_char('…');
            }
            if is_harmful(c) {
                write!(f, "{}", c.escape_unicode())?;
            } else {
                f.write_char(c)?;
            }
        }
        Ok(())
    }
}
