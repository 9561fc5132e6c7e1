//! Names as parts of a URL.

/// Encodes everything but the unreserved characters of RFC 3986: no name means anything to a URL,
/// nor to servers that give `;` or `+` a meaning of their own.
pub(crate) fn encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                encoded.push(char::from(byte));
            }
            other => encoded.push_str(&format!("%{other:02X}")),
        }
    }
    encoded
}

/// A name as one part of a path. `None` where no encoding keeps it in its place: a URL drops `.` and
/// follows `..` even when their dots are encoded, an empty part is one that many servers drop, and no
/// name has a control character.
pub(crate) fn segment(name: &str) -> Option<String> {
    let is_dots = matches!(name, "" | "." | "..");
    (!is_dots && !name.chars().any(char::is_control)).then(|| encoded(name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use reqwest::Url;

    #[test]
    fn a_name_that_would_leave_its_place_is_refused() {
        for name in ["", ".", "..", "a\nb", "\t", "a\0", "\u{7f}", "\u{85}"] {
            assert_eq!(segment(name), None, "{name:?}");
        }
        for (name, expected) in [
            ("web-1.2_~", "web-1.2_~"),
            ("...", "..."),
            ("%2e%2e", "%252e%252e"),
            ("../x", "..%2Fx"),
            ("..\\x", "..%5Cx"),
            ("a;b=c+d", "a%3Bb%3Dc%2Bd"),
            ("a?b#c d", "a%3Fb%23c%20d"),
            ("é", "%C3%A9"),
        ] {
            assert_eq!(segment(name).as_deref(), Some(expected));
        }
    }

    proptest! {
        #[test]
        fn a_name_is_one_part_of_the_path_and_nothing_else(name in "\\PC{1,20}|[./%\\\\]{1,8}") {
            let Some(part) = segment(&name) else { return Ok(()) };
            let url = Url::parse(&format!("https://cd.example.com/api/{part}/end")).unwrap();
            let parts: Vec<_> = url.path_segments().unwrap().collect();
            prop_assert_eq!(parts, ["api", part.as_str(), "end"]);
            prop_assert_eq!((url.query(), url.fragment(), url.username()), (None, None, ""));
        }
    }
}
