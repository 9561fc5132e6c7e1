//! What others wrote, made fit to be passed on.

/// How much of a UID tells two objects of one name apart.
const UID_SHOWN: usize = 8;

/// An object's identity, as far as it is shown.
///
/// ```
/// assert_eq!(rollback_cluster::short("1a2b3c4d-5e6f"), "1a2b3c4d");
/// ```
#[must_use]
pub fn short(uid: &str) -> &str {
    uid.get(..UID_SHOWN).unwrap_or(uid)
}

/// A text from outside: on one line, and cut after `max` characters. What an admission webhook or a
/// schema quotes as a bad value may be a password, and is left out.
#[must_use]
pub fn clip(text: &str, max: usize) -> String {
    let text: String = text
        .split_whitespace()
        .collect::<Vec<_>>()
        .join(" ")
        .chars()
        .filter(|character| !character.is_control())
        .collect();
    let text = match text.split_once("Invalid value: ") {
        Some((before, _value)) => format!("{before}Invalid value (not shown)"),
        None => text,
    };
    match text.char_indices().nth(max) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_uid_is_shown_in_part_and_one_that_is_shorter_whole() {
        for (uid, shown) in [("1a2b3c4d-5e6f", "1a2b3c4d"), ("1a2b", "1a2b"), ("", "")] {
            assert_eq!(short(uid), shown);
        }
    }

    #[test]
    fn what_others_wrote_is_one_line_of_bounded_length_without_the_values_that_it_quotes() {
        assert_eq!(clip("a\n\t* b\u{7}", 10), "a * b");
        assert_eq!(clip(&"é".repeat(11), 10), format!("{}…", "é".repeat(10)));
        assert_eq!(clip(&"é".repeat(10), 10), "é".repeat(10));
        let quoted = "Secret \"x\" is invalid: data.a: Invalid value: \"hunter2\": bad";
        assert_eq!(clip(quoted, 240), "Secret \"x\" is invalid: data.a: Invalid value (not shown)");
    }
}
