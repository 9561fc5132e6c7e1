//! What an operator's log says of each rollback: a line when it is opened, ordered and ended.
//!
//! Every value is an id or a name of a state, which cannot break a line. The reason, and what others
//! wrote, are in the audit record and never here.

use rollback_core::{Purpose, RollbackView, StateName};

/// A line about a rollback. A macro, because the message of a line is fixed when it is compiled.
macro_rules! told {
    ($view:expr, $message:literal) => {
        tracing::info!(
            rollback = %$view.id,
            service = %$view.key.service,
            environment = %$view.key.environment,
            from = %$view.from.revision,
            to = %$view.to.revision,
            state = $view.state.as_str(),
            drill = $view.purpose == Purpose::Drill,
            $message
        )
    };
}

/// The opening was stored.
pub(crate) fn opened(view: &RollbackView) {
    told!(view, "a rollback is opened");
}

/// A step was stored that began in the state `before`.
pub(crate) fn stepped(before: StateName, view: &RollbackView) {
    let is_sent = view.state == StateName::Triggering && view.purpose == Purpose::Real;
    if is_sent && before != StateName::Triggering {
        told!(view, "a rollback is ordered");
    }
    if !before.is_end() && view.state.is_end() {
        told!(view, "a rollback has ended");
    }
}
