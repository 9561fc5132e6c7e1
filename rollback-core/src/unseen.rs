//! Characters that nobody sees. A text that has nothing else in it says nothing.

/// The ranges of Unicode's `Default_Ignorable_Code_Point`, and the format characters (`Cf`) that are
/// not among them and have no shape of their own. In order; a test compares them with Unicode's own
/// tables.
const UNSEEN: [(char, char); 18] = [
    ('\u{ad}', '\u{ad}'),
    ('\u{34f}', '\u{34f}'),
    ('\u{61c}', '\u{61c}'),
    ('\u{115f}', '\u{1160}'),
    ('\u{17b4}', '\u{17b5}'),
    ('\u{180b}', '\u{180f}'),
    ('\u{200b}', '\u{200f}'),
    ('\u{202a}', '\u{202e}'),
    ('\u{2060}', '\u{206f}'),
    ('\u{3164}', '\u{3164}'),
    ('\u{fe00}', '\u{fe0f}'),
    ('\u{feff}', '\u{feff}'),
    ('\u{ffa0}', '\u{ffa0}'),
    ('\u{fff0}', '\u{fffb}'),
    ('\u{13430}', '\u{1343f}'),
    ('\u{1bca0}', '\u{1bca3}'),
    ('\u{1d173}', '\u{1d17a}'),
    ('\u{e0000}', '\u{e0fff}'),
];

/// Characters that are drawn as a blank and are not white space: a Braille cell without dots, a filler,
/// a note without a head.
const BLANK: [char; 3] = ['\u{2800}', '\u{16fe4}', '\u{1d159}'];

/// Whether a character changes what is read without being seen: controls, direction marks and
/// overrides, zero-width characters, fillers, tags. White space is not among them, but for controls.
#[must_use]
pub fn is_unseen(char: char) -> bool {
    if char.is_ascii() {
        return char.is_control();
    }
    char.is_control() || UNSEEN.iter().any(|(first, last)| (*first..=*last).contains(&char))
}

/// Whether a text has something in it that can be seen.
#[must_use]
pub fn is_visible(text: &str) -> bool {
    let is_seen = |char: char| !char.is_whitespace() && !is_unseen(char) && !BLANK.contains(&char);
    text.chars().any(is_seen)
}

#[cfg(test)]
mod tests {
    use super::*;
    use regex_syntax::hir::{Class, HirKind};

    /// Every character of a property, by Unicode's tables as another crate has them.
    fn of_property(name: &str) -> impl Iterator<Item = char> {
        let pattern = alloc::format!("\\p{{{name}}}");
        let parsed = regex_syntax::Parser::new().parse(&pattern).unwrap();
        let HirKind::Class(Class::Unicode(class)) = parsed.into_kind() else { panic!("{name}") };
        let ranges: alloc::vec::Vec<_> =
            class.iter().map(|range| range.start()..=range.end()).collect();
        assert!(!ranges.is_empty(), "{name}");
        ranges.into_iter().flatten()
    }

    #[test]
    fn every_default_ignorable_character_is_unseen() {
        let all: alloc::vec::Vec<char> = of_property("Default_Ignorable_Code_Point").collect();
        assert!(all.len() > 4_000, "{}", all.len());
        for char in all {
            assert!(is_unseen(char), "{char:?} is seen");
            assert!(!is_visible(&alloc::format!(" {char}\t{char}")), "{char:?} is visible");
        }
    }

    #[test]
    fn every_format_character_is_unseen_but_those_that_have_a_shape() {
        // Signs that stand before or around a number.
        let drawn =
            ['\u{6dd}', '\u{70f}', '\u{890}', '\u{891}', '\u{8e2}', '\u{110bd}', '\u{110cd}'];
        for char in of_property("Cf") {
            let has_shape = drawn.contains(&char) || ('\u{600}'..='\u{605}').contains(&char);
            assert_eq!(is_unseen(char), !has_shape, "{char:?}");
        }
    }

    #[test]
    fn what_people_write_is_visible() {
        for char in of_property("L").chain(of_property("N")).chain(of_property("P")) {
            let is_filler = ['\u{115f}', '\u{1160}', '\u{3164}', '\u{ffa0}'].contains(&char);
            assert_eq!(is_visible(&alloc::string::String::from(char)), !is_filler, "{char:?}");
        }
        for text in ["", " ", "\n\t", "\u{a0}\u{3000}", "\u{2800}", "\u{1d159}", "\u{0}\u{7f}"] {
            assert!(!is_visible(text), "{text:?}");
        }
        assert!(is_visible("\u{200b}x") && is_visible("❤\u{fe0f}"));
    }
}
