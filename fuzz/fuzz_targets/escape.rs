//! What others wrote, made fit for Slack: never markup, never unseen, never over its limit.
//!
//! Input: two bytes for the limit, and a text.
#![no_main]

use libfuzzer_sys::fuzz_target;
use rollback_slack::escape::{SafeUrl, code_span, mention, mrkdwn_line, plain_line, plain_lines};

/// The smallest limit of any field of ours is larger.
const UNITS_MIN: usize = 8;

/// What must not be in any text that a person reads, by the standard's own lists.
fn is_hidden(char: char) -> bool {
    (char.is_control() && char != '\n')
        || ('\u{200b}'..='\u{200f}').contains(&char)
        || ('\u{202a}'..='\u{202e}').contains(&char)
        || ('\u{2060}'..='\u{206f}').contains(&char)
        || ('\u{e0000}'..='\u{e007f}').contains(&char)
        || char == '\u{feff}'
        || char == '\u{61c}'
}

fn within(text: &str, units_max: usize) {
    assert!(text.encode_utf16().count() <= units_max, "over {units_max}: {text:?}");
    assert!(!text.is_empty(), "Slack refuses an empty text");
    assert!(!text.chars().any(is_hidden), "{text:?}");
}

/// Every `&` begins one of the three entities, and there is no `<`, `>` or backtick at all.
fn no_markup(text: &str) {
    for (at, _) in text.match_indices('&') {
        let rest = &text[at..];
        let known = ["&amp;", "&lt;", "&gt;"].iter().any(|entity| rest.starts_with(entity));
        assert!(known, "{text:?}");
    }
    assert!(!text.contains(['<', '>', '`', '\n']), "{text:?}");
}

fuzz_target!(|data: &[u8]| {
    let Some((limit, text)) = data.split_at_checked(2) else { return };
    let Ok(text) = std::str::from_utf8(text) else { return };
    let limit = usize::from(u16::from_le_bytes([limit[0], limit[1]])) % 3_000 + UNITS_MIN;

    let line = plain_line(text, limit);
    within(&line, limit);
    assert!(!line.contains('\n'), "{line:?}");
    assert_eq!(plain_line(&line, limit), line, "what is clean stays");
    within(&plain_lines(text, limit), limit);

    let marked = mrkdwn_line(text, limit);
    within(&marked, limit);
    no_markup(&marked);
    assert!(!marked.starts_with("&gt;"), "it quotes: {marked:?}");

    let code = code_span(text, limit);
    within(&code, limit);
    let inner = code.strip_prefix('`').and_then(|code| code.strip_suffix('`'));
    no_markup(inner.expect("a span"));

    let named = mention(text);
    if named.starts_with('<') {
        assert!(text.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit()));
    } else {
        no_markup(named.trim_matches('`'));
    }

    if let Ok(url) = SafeUrl::parse(text) {
        assert!(url.as_str().starts_with("https://"), "{url}");
        assert!(url.as_str().is_ascii() && !url.as_str().contains(['<', '>', '|', '"', ' ']));
        let link = url.link(text, limit);
        let inner = link.strip_prefix('<').and_then(|link| link.strip_suffix('>'));
        let (address, label) = inner.and_then(|link| link.split_once('|')).expect("a link");
        assert!(!address.contains(['<', '>']), "{link}");
        no_markup(label);
    }
});
