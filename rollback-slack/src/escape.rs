//! Text from outside, made fit to be shown in Slack.
//!
//! Whatever somebody else wrote (a commit's title, a version, a name, a reason) is hostile until it
//! went through here: it must not mention, link, reorder, hide or break out of its place. Prefer
//! `plain_text` and `rich_text` with [`plain_line`]; where it must be mrkdwn, [`mrkdwn_line`] and
//! [`code_span`], always with `"verbatim": true` beside it, which stops bare `@here` and addresses.
//!
//! Lengths are in UTF-16 units, the larger of the two ways in which Slack may count.

use std::borrow::Cow;
use std::fmt;

use reqwest::Url;
use rollback_core::is_unseen;
use thiserror::Error;

/// What stands where text was cut.
const CUT: char = '…';
/// What stands where there was no text: Slack refuses empty text.
const NONE: char = '–';
/// The longest address that a button or a link takes.
const URL_CHARS_MAX: usize = 3_000;
/// The longest id that Slack gives out, with room.
const ID_CHARS_MAX: usize = 32;

/// One line for a `plain_text` or a `rich_text` element, of `units_max` at most.
///
/// ```
/// use rollback_slack::escape::plain_line;
/// assert_eq!(plain_line("fix\u{202e}gnp.exe\n  now", 100), "fixgnp.exe now");
/// assert_eq!(plain_line("a long title", 7), "a long…");
/// ```
#[must_use]
pub fn plain_line(text: &str, units_max: usize) -> String {
    written(&one_line(text), units_max, |_| None)
}

/// Several lines for a `plain_text` or a `rich_text` element.
#[must_use]
pub fn plain_lines(text: &str, units_max: usize) -> String {
    if text.bytes().all(|byte| matches!(byte, b'\n' | b' '..=b'~')) {
        return written(text.trim(), units_max, |_| None);
    }
    let lines: String = text
        .chars()
        .filter_map(|char| match char {
            '\n' | '\u{2028}' | '\u{2029}' => Some('\n'),
            char if char.is_whitespace() => Some(' '),
            char if is_unseen(char) => None,
            char => Some(char),
        })
        .collect();
    written(lines.trim(), units_max, |_| None)
}

/// One line of mrkdwn, of `units_max` at most after escaping. Cannot mention, link, quote, open a code
/// span, emphasize or show an emoji. Mrkdwn has no escape for the last two, so what would mark text is
/// written with characters that look the same.
///
/// ```
/// use rollback_slack::escape::mrkdwn_line;
/// assert_eq!(mrkdwn_line("<!channel> & `x`", 100), "&lt;!channel&gt; &amp; ˋxˋ");
/// assert_eq!(mrkdwn_line("*Ana* :tada: in my_app", 100), "∗Ana∗ ∶tada∶ in my_app");
/// ```
#[must_use]
pub fn mrkdwn_line(text: &str, units_max: usize) -> String {
    escaped_line(&unmarked(&one_line(text)), units_max)
}

fn escaped_line(line: &str, units_max: usize) -> String {
    // At the start of a line, Slack takes even the escaped character for a quote.
    let unquoted = line.trim_start_matches(['>', ' ']);
    written(unquoted, units_max, |char| match char {
        '&' => Some("&amp;"),
        '<' => Some("&lt;"),
        '>' => Some("&gt;"),
        '`' => Some("ˋ"),
        _ => None,
    })
}

/// A code span, of `units_max` at most with its quotes: for versions and ids.
///
/// ```
/// use rollback_slack::escape::code_span;
/// assert_eq!(code_span("v1`<!here>`", 100), "`v1ˋ&lt;!here&gt;ˋ`");
/// ```
#[must_use]
pub fn code_span(text: &str, units_max: usize) -> String {
    format!("`{}`", escaped_line(&one_line(text), units_max.saturating_sub(2)))
}

/// A mention of a person (`U…`, `W…`), a user group (`S…`) or a channel (`C…`, `G…`), if `id` is an
/// id, and a code span otherwise. Only for ids from configuration or from a signed payload.
///
/// ```
/// use rollback_slack::escape::mention;
/// assert_eq!(mention("U02ANA"), "<@U02ANA>");
/// assert_eq!(mention("S0PAYMENTS"), "<!subteam^S0PAYMENTS>");
/// assert_eq!(mention("!channel"), "`!channel`");
/// ```
#[must_use]
pub fn mention(id: &str) -> String {
    let is_id = id.len() > 1
        && id.len() <= ID_CHARS_MAX
        && id.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit());
    match id.bytes().next() {
        Some(b'U' | b'W') if is_id => format!("<@{id}>"),
        Some(b'S') if is_id => format!("<!subteam^{id}>"),
        Some(b'C' | b'G') if is_id => format!("<#{id}>"),
        Some(_) | None => code_span(id, ID_CHARS_MAX),
    }
}

/// Why an address is not made into a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum UnsafeUrl {
    /// Not an address.
    #[error("it is not a URL")]
    Malformed,
    /// Another scheme.
    #[error("it does not begin with `https://`")]
    NotHttps,
    /// A name or password before the host, which makes one host look like another.
    #[error("it has a user name or a password in it")]
    Credentials,
    /// Longer than a link may be.
    #[error("it is longer than {URL_CHARS_MAX} characters")]
    TooLong,
}

/// An address that may be put into a button or a link: https, without credentials, of ASCII, and
/// without the characters that would end a link early.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SafeUrl {
    text: String,
    host: String,
}

impl SafeUrl {
    /// Checks and encodes an address.
    ///
    /// # Errors
    /// [`UnsafeUrl`].
    ///
    /// ```
    /// use rollback_slack::escape::{SafeUrl, UnsafeUrl};
    /// let url = SafeUrl::parse("https://git.example.com/compare/a...b|<x>")?;
    /// assert_eq!(url.as_str(), "https://git.example.com/compare/a...b%7C%3Cx%3E");
    /// assert_eq!(SafeUrl::parse("javascript:alert(1)"), Err(UnsafeUrl::NotHttps));
    /// # Ok::<(), UnsafeUrl>(())
    /// ```
    pub fn parse(text: &str) -> Result<Self, UnsafeUrl> {
        let url = Url::parse(text).map_err(|_no_detail| UnsafeUrl::Malformed)?;
        if url.scheme() != "https" {
            return Err(UnsafeUrl::NotHttps);
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(UnsafeUrl::Credentials);
        }
        let host = url.host_str().ok_or(UnsafeUrl::Malformed)?.to_owned();
        let mut text = String::with_capacity(url.as_str().len());
        for char in url.as_str().chars() {
            match char {
                '|' => text.push_str("%7C"),
                '<' => text.push_str("%3C"),
                '>' => text.push_str("%3E"),
                '"' => text.push_str("%22"),
                '`' => text.push_str("%60"),
                char => text.push(char),
            }
        }
        if text.len() > URL_CHARS_MAX {
            return Err(UnsafeUrl::TooLong);
        }
        Ok(Self { text, host })
    }

    /// The address, for a button's or a `rich_text` link's `url`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The host, lower-case and in ASCII: to be compared whole with those that are allowed.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// A link in mrkdwn, whose label is of `units_max` at most.
    #[must_use]
    pub fn link(&self, label: &str, units_max: usize) -> String {
        // The address has no `<`, `>` or `|`; an `&` in it is escaped like any other.
        format!("<{}|{}>", self.text.replace('&', "&amp;"), mrkdwn_line(label, units_max))
    }
}

impl fmt::Display for SafeUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// What stands for a character that marks text in mrkdwn.
const fn look_alike(mark: char) -> char {
    match mark {
        '*' => '∗',
        '_' => 'ˍ',
        '~' => '∼',
        ':' => '∶',
        other => other,
    }
}

/// Without emphasis and emoji: stars, underscores and tildes at the edge of a word, and the colons
/// around a name, are written as characters that look the same. What stands inside a word, or between
/// the digits of a time, is left.
fn unmarked(line: &str) -> Cow<'_, str> {
    if !line.contains(['*', '_', '~', ':']) {
        return Cow::Borrowed(line);
    }
    let chars: Vec<char> = line.chars().collect();
    let is_word = |place: Option<usize>| {
        place.and_then(|place| chars.get(place)).is_some_and(|char| char.is_alphanumeric())
    };
    let marks = chars.iter().enumerate().map(|(place, char)| match char {
        '*' | '_' | '~' if is_word(place.checked_sub(1)) && is_word(place.checked_add(1)) => *char,
        ':' if !opens_emoji(&chars, place) && !closes_emoji(&chars, place) => *char,
        char => look_alike(*char),
    });
    Cow::Owned(marks.collect())
}

/// Whether a colon stands before a name that a colon ends.
fn opens_emoji(chars: &[char], place: usize) -> bool {
    let behind = chars.iter().skip(place.saturating_add(1));
    let name: Vec<char> = behind.clone().copied().take_while(|char| is_of_emoji(*char)).collect();
    let is_ended = behind.clone().nth(name.len()) == Some(&':');
    let digit_before =
        place.checked_sub(1).and_then(|it| chars.get(it)).is_some_and(char::is_ascii_digit);
    let is_time = digit_before && name.iter().all(char::is_ascii_digit);
    !name.is_empty() && is_ended && !is_time
}

/// Whether a colon ends a name that a colon opens.
fn closes_emoji(chars: &[char], place: usize) -> bool {
    let before = chars.iter().take(place).rev();
    let length = before.take_while(|char| is_of_emoji(**char)).count();
    let opens = place.checked_sub(length).and_then(|it| it.checked_sub(1));
    opens.is_some_and(|it| chars.get(it) == Some(&':') && opens_emoji(chars, it))
}

/// Whether the name of an emoji may have it.
fn is_of_emoji(char: char) -> bool {
    char.is_alphanumeric() || matches!(char, '_' | '-' | '+' | '\'')
}

/// Without what cannot be seen, and with one blank for every run of blanks and line ends.
fn one_line(text: &str) -> Cow<'_, str> {
    if is_plain(text) {
        return Cow::Borrowed(text);
    }
    let mut line = String::with_capacity(text.len());
    for char in text.chars() {
        if char.is_whitespace() {
            if !line.is_empty() && !line.ends_with(' ') {
                line.push(' ');
            }
        } else if !is_unseen(char) {
            line.push(char);
        }
    }
    line.truncate(line.trim_end().len());
    Cow::Owned(line)
}

/// Whether there is nothing to take out: visible ASCII with single blanks in between, as nearly all
/// names, versions and sentences are.
fn is_plain(text: &str) -> bool {
    let mut before = b' ';
    let single = text.bytes().all(|byte| {
        let fits = byte.is_ascii_graphic() || (byte == b' ' && before != b' ');
        before = byte;
        fits
    });
    single && before != b' '
}

/// Writes the text with its escapes, cut between two characters if it would get too long.
fn written(text: &str, units_max: usize, escape: impl Fn(char) -> Option<&'static str>) -> String {
    // What needs neither escape nor cut is copied.
    let as_it_is = |byte: u8| byte.is_ascii() && escape(char::from(byte)).is_none();
    if !text.is_empty() && text.len() <= units_max && text.bytes().all(as_it_is) {
        return text.to_owned();
    }
    let mut out = String::with_capacity(text.len().min(units_max));
    let mut units = 0_usize;
    // Up to where the mark of the cut still fits behind.
    let mut cut_at = 0;
    for char in text.chars() {
        let escaped = escape(char);
        let more = escaped.map_or_else(|| char.len_utf16(), |it| it.encode_utf16().count());
        units = units.saturating_add(more);
        if units > units_max {
            out.truncate(cut_at);
            out.truncate(out.trim_end().len());
            if units_max > 0 {
                out.push(CUT);
            }
            return out;
        }
        match escaped {
            Some(escaped) => out.push_str(escaped),
            None => out.push(char),
        }
        if units < units_max {
            cut_at = out.len();
        }
    }
    if out.is_empty() && units_max > 0 {
        out.push(NONE);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Text with what attackers like in it.
    fn hostile() -> impl Strategy<Value = String> {
        let piece = prop_oneof![
            any::<char>().prop_map(String::from),
            "[a-z &<>`|*_~\n\r\t]{1,6}",
            proptest::sample::select(vec![
                "<!channel>",
                "<@U1>",
                "<https://x|y>",
                "`",
                "\u{202e}",
                "\u{200b}",
                "\u{0}",
                "&lt;",
                "@here",
                "😀",
                "> quote",
                "\u{2028}",
                "\u{e0041}",
            ])
            .prop_map(str::to_owned),
        ];
        proptest::collection::vec(piece, 0..30).prop_map(|pieces| pieces.concat())
    }

    fn units(text: &str) -> usize {
        text.encode_utf16().count()
    }

    fn unescaped(text: &str) -> String {
        let text = text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&");
        text.replace('∗', "*").replace('ˍ', "_").replace('∼', "~").replace('∶', ":")
    }

    proptest! {
        #[test]
        fn nothing_unseen_gets_through_and_no_limit_is_passed(text in hostile(), max in 0_usize..60) {
            for out in [plain_line(&text, max), mrkdwn_line(&text, max)] {
                prop_assert!(units(&out) <= max, "{out:?}");
                prop_assert!(!out.chars().any(is_unseen), "{out:?}");
                prop_assert!(!out.contains(['\n', '\r', '\t', '\u{2028}', '\u{2029}']), "{out:?}");
                prop_assert_eq!(out.trim(), &out);
                prop_assert_eq!(out.is_empty(), max == 0);
            }
            let lines = plain_lines(&text, max);
            prop_assert!(units(&lines) <= max);
            prop_assert!(!lines.chars().any(|char| char != '\n' && is_unseen(char)), "{lines:?}");
        }

        #[test]
        fn mrkdwn_has_no_control_character_and_no_cut_entity(text in hostile(), max in 0_usize..60) {
            let out = mrkdwn_line(&text, max);
            prop_assert!(!out.contains(['<', '>', '`']), "{out:?}");
            prop_assert!(!out.starts_with("&gt;"), "{out:?}");
            let bare = out.replace("&lt;", "").replace("&gt;", "").replace("&amp;", "");
            prop_assert!(!bare.contains('&'), "{out:?}");
        }

        #[test]
        fn nothing_that_others_write_is_emphasized_or_an_emoji(text in "[a1 *_~:+-]{0,20}") {
            let out = mrkdwn_line(&text, 1_000);
            let chars: Vec<char> = out.chars().collect();
            let is_word = |it: Option<&char>| it.is_some_and(|char| char.is_alphanumeric());
            for (place, char) in chars.iter().enumerate().filter(|(_, it)| "*_~".contains(**it)) {
                let before = place.checked_sub(1).and_then(|it| chars.get(it));
                let inside = is_word(before) && is_word(chars.get(place + 1));
                prop_assert!(inside, "{char} marks text in {out:?}");
            }
            for named in out.split(':').skip(1).take(out.matches(':').count().saturating_sub(1)) {
                let is_name = !named.is_empty() && !named.contains([' ', '*', '~', '∗', '∼', '∶']);
                let is_number = named.chars().all(|char| char.is_ascii_digit());
                prop_assert!(!is_name || is_number, ":{named}: in {out:?}");
            }
            prop_assert_eq!(unescaped(&out), unescaped(&plain_line(&text, 1_000)));
        }

        #[test]
        fn a_code_span_ends_where_it_should(text in hostile(), max in 3_usize..60) {
            let out = code_span(&text, max);
            prop_assert!(units(&out) <= max);
            prop_assert_eq!(out.matches('`').count(), 2);
            prop_assert!(out.starts_with('`') && out.ends_with('`') && out.len() > 2);
        }

        #[test]
        fn what_fits_is_only_escaped(text in "[a-zA-Z0-9&<][a-zA-Z0-9&<>äß€😀.,:;-]{0,40}") {
            prop_assert_eq!(&unescaped(&mrkdwn_line(&text, 1_000)), &text);
            prop_assert_eq!(plain_line(&text, 1_000), text);
        }

        #[test]
        fn what_is_cut_is_a_beginning(text in "[a-z]{1,40}", max in 1_usize..40) {
            let out = plain_line(&text, max);
            match out.strip_suffix(CUT) {
                Some(beginning) => {
                    prop_assert!(text.starts_with(beginning) && units(&text) > max);
                    prop_assert_eq!(units(&out), max);
                }
                None => prop_assert_eq!(out, text),
            }
        }

        #[test]
        fn a_link_cannot_be_broken_out_of(
            path in "[ -~]{0,40}|\\PC{0,20}", label in hostile(),
        ) {
            let Ok(url) = SafeUrl::parse(&format!("https://git.example/{path}")) else {
                return Ok(());
            };
            prop_assert!(url.as_str().is_ascii());
            let link = url.link(&label, 50);
            for (char, times) in [('<', 1), ('>', 1), ('|', 1 + label.matches('|').count())] {
                prop_assert!(link.matches(char).count() <= times, "{link}");
            }
            prop_assert!(!link.contains(['`', '"', '\n']) || label.contains('"'), "{link}");
            prop_assert_eq!(SafeUrl::parse(url.as_str()), Ok(url), "encoding it twice");
        }

        #[test]
        fn no_text_that_is_not_an_id_is_a_mention(text in hostile()) {
            let out = mention(&text);
            let is_id = text.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit());
            prop_assert!(is_id || out.starts_with('`'), "{out}");
        }
    }

    #[test]
    fn a_name_carries_no_emphasis_no_emoji_and_no_link_and_a_time_stays_one() {
        for (name, shown) in [
            ("*Ana*", "∗Ana∗"),
            ("_Ana_ ~Bo~", "ˍAnaˍ ∼Bo∼"),
            (":rotating_light: SEV1", "∶rotating_light∶ SEV1"),
            ("a:tada:b", "a∶tada∶b"),
            (":+1::-1:", "∶+1∶∶-1∶"),
            (":100:", "∶100∶"),
            ("<https://evil.example|Ana>", "&lt;https://evil.example|Ana&gt;"),
            ("ci_bot_2", "ci_bot_2"),
            ("2026-11-22T09:30:00Z", "2026-11-22T09:30:00Z"),
            ("a: b: c", "a: b: c"),
            ("2*3*4", "2*3*4"),
        ] {
            assert_eq!(mrkdwn_line(name, 100), shown, "{name}");
        }
        assert_eq!(code_span(":tada: *x*", 100), "`:tada: *x*`", "code is never marked");
    }

    #[test]
    fn no_zero_width_character_gets_through() {
        let all = ('\u{80}'..=char::MAX).filter(|char| is_unseen(*char) && !char.is_whitespace());
        for char in all.chain(['\u{1bca0}', '\u{1d173}', '\u{fe0f}', '\u{13430}', '\u{e0041}']) {
            let text = format!("a{char}b");
            assert_eq!(mrkdwn_line(&text, 10), "ab", "{char:?}");
            assert_eq!(plain_line(&text, 10), "ab", "{char:?}");
            assert_eq!(plain_lines(&text, 10), "ab", "{char:?}");
        }
    }

    #[test]
    fn an_empty_text_is_never_sent() {
        for text in ["", " ", "\n\n", "\u{200b}\u{202e}", ">", "\u{feff}\t"] {
            assert_eq!(mrkdwn_line(text, 10), "–", "{text:?}");
        }
        assert_eq!(plain_lines("\n \n", 10), "–");
    }

    #[test]
    fn several_lines_stay_lines() {
        assert_eq!(plain_lines("a\r\n\tb\u{2028}c\u{7}", 20), "a \n b\nc");
    }

    #[test]
    fn an_ampersand_is_counted_as_what_it_becomes() {
        assert_eq!(mrkdwn_line("a&b", 7), "a&amp;b");
        assert_eq!(mrkdwn_line("a&b", 6), "a…");
        assert_eq!(mrkdwn_line("&&", 6), "&amp;…");
    }

    #[test]
    fn only_an_https_address_without_credentials_is_a_link() {
        for (text, outcome) in [
            ("https://git.example/a", Ok("git.example")),
            ("HTTPS://GIT.Example:8443/a?b=1&c=2", Ok("git.example")),
            ("https://git.example\u{3002}evil/", Ok("git.example.evil")),
            ("http://git.example/", Err(UnsafeUrl::NotHttps)),
            ("javascript:alert(1)", Err(UnsafeUrl::NotHttps)),
            ("data:text/html,x", Err(UnsafeUrl::NotHttps)),
            ("//git.example/", Err(UnsafeUrl::Malformed)),
            ("git.example", Err(UnsafeUrl::Malformed)),
            ("https://", Err(UnsafeUrl::Malformed)),
            ("https://git.example@evil.example/", Err(UnsafeUrl::Credentials)),
            ("https://a:b@evil.example/", Err(UnsafeUrl::Credentials)),
        ] {
            let url = SafeUrl::parse(text);
            assert_eq!(url.as_ref().map(SafeUrl::host).map_err(|error| *error), outcome, "{text}");
        }
        let long = format!("https://git.example/{}", "a".repeat(URL_CHARS_MAX));
        assert_eq!(SafeUrl::parse(&long), Err(UnsafeUrl::TooLong));
    }
}
