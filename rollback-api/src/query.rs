//! The query of an address, read strictly: what is not understood is not guessed.

use crate::problem::{Fault, Problem};
use std::collections::BTreeMap;
use std::fmt::Display;
use std::str::FromStr;

/// Longest accepted query, in bytes: every parameter at its longest, escaped.
const QUERY_MAX: usize = 4096;

/// The parameters of a query: each known, each once.
#[derive(Debug, Default)]
pub(crate) struct Parameters {
    values: BTreeMap<String, String>,
}

impl Parameters {
    /// Reads a query that may have these parameters.
    pub(crate) fn read(query: Option<&str>, known: &[&str]) -> Result<Self, Problem> {
        let query = query.unwrap_or_default();
        if query.len() > QUERY_MAX {
            let detail = format!("the query has more than {QUERY_MAX} bytes");
            return Err(Problem::bad_request(Fault::in_query("", detail)));
        }
        let mut values = BTreeMap::new();
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            let refused =
                |detail: String| Err(Problem::bad_request(Fault::in_query(clipped(&name), detail)));
            if !known.contains(&name.as_ref()) {
                return refused(format!("it is not known here; known are {}", listed(known)));
            }
            if value.contains(['\u{fffd}', '\0']) {
                return refused("its value is not UTF-8 text".into());
            }
            if values.insert(name.to_string(), value.into_owned()).is_some() {
                return refused("it is there twice; give it once".into());
            }
        }
        Ok(Self { values })
    }

    /// The value of a parameter, parsed. An empty one is as good as none.
    pub(crate) fn parsed<T: FromStr>(&self, name: &str) -> Result<Option<T>, Problem>
    where
        T::Err: Display,
    {
        self.chosen(name, |text| text.parse().map_err(|error: T::Err| error.to_string()))
    }

    /// The value of a parameter that chooses, parsed. An empty one chooses nothing.
    pub(crate) fn chosen<T>(
        &self,
        name: &str,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Result<Option<T>, Problem> {
        if self.values.get(name).is_some_and(String::is_empty) {
            return Ok(None);
        }
        self.read_as(name, parse)
    }

    /// The value of a parameter, parsed.
    pub(crate) fn read_as<T>(
        &self,
        name: &str,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Result<Option<T>, Problem> {
        let Some(text) = self.values.get(name) else { return Ok(None) };
        parse(text).map(Some).map_err(|detail| Problem::bad_request(Fault::in_query(name, detail)))
    }
}

/// A whole number of at least `least`.
pub(crate) fn number(text: &str, least: u64, most: u64) -> Result<u64, String> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    match text.parse::<u64>() {
        Ok(number) if digits && (least..=most).contains(&number) => Ok(number),
        Ok(_) | Err(_) => Err(format!("it is not a whole number from {least} to {most}")),
    }
}

/// Enough of a bad name to recognize it by.
fn clipped(name: &str) -> String {
    name.chars().take(40).collect()
}

fn listed(known: &[&str]) -> String {
    let quoted: Vec<String> = known.iter().map(|name| format!("`{name}`")).collect();
    quoted.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const KNOWN: &[&str] = &["service", "after"];

    #[test]
    fn what_is_twice_unknown_or_not_text_is_refused_by_name() {
        for bad in
            ["service=a&service=a", "servce=a", "service=%ff", "service=a%00", "=", "SERVICE=a"]
        {
            assert!(Parameters::read(Some(bad), KNOWN).is_err(), "{bad}");
        }
        let long = format!("service={}", "a".repeat(QUERY_MAX));
        assert!(Parameters::read(Some(&long), KNOWN).is_err());
    }

    #[test]
    fn an_empty_choice_chooses_nothing_and_an_empty_number_is_none() {
        for query in [None, Some(""), Some("service="), Some("service"), Some("&&")] {
            let parameters = Parameters::read(query, KNOWN).unwrap();
            assert!(parameters.parsed::<u64>("service").unwrap().is_none(), "{query:?}");
        }
        let parameters = Parameters::read(Some("after="), KNOWN).unwrap();
        assert!(parameters.read_as("after", |text| number(text, 0, 9)).is_err());
    }

    #[test]
    fn a_number_is_digits_within_its_bounds() {
        assert_eq!(number("7", 1, 9), Ok(7));
        for bad in ["", "0", "10", "+7", "-1", "7.0", "0x7", "٧", "18446744073709551616"] {
            assert!(number(bad, 1, 9).is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn no_query_makes_it_panic(query in ".*") {
            drop(Parameters::read(Some(&query), KNOWN));
        }
    }
}
