//! Ways in for the fuzz targets, compiled for them alone.

use crate::classify;
use rollback_core::ports::StartError;
use rollback_outbound::{Answer, Exchange, Redactor};

/// What an answer to an order proves.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Proof {
    /// It was taken.
    Taken,
    /// Nothing happened.
    NothingHappened,
    /// Neither.
    Nothing,
}

/// What an answer with this status and body means: as the answer to an order, and in every word
/// that would be told of it whatever the question was.
pub fn answer(status: u16, kind: u8, body: &[u8], token: &str) -> (Proof, String) {
    let said = match kind % 4 {
        0 => Some("application/json"),
        1 => None,
        2 => Some("text/html"),
        _ => Some("text/plain"),
    };
    let redactor = Redactor::new([token.into()]);
    let seen = || Exchange::Answered(Answer::parse(status, said, body, &redactor));
    let started = classify::started(seen());
    let proof = match &started {
        Ok(_receipt) => Proof::Taken,
        Err(StartError::Refused { .. } | StartError::Conflict { .. }) => Proof::NothingHappened,
        Err(StartError::InDoubt { .. }) => Proof::Nothing,
    };
    let words = format!(
        "{started:?} {:?} {:?} {:?} {:?}",
        classify::execution(seen(), "find"),
        classify::service(seen(), "live"),
        classify::cancelled(seen(), "cancel"),
        classify::fenced(seen(), "fence"),
    );
    (proof, words)
}
