//! What helm's last words mean. Every failure ends with code 1, so that only the text tells.

use crate::record::clip;
use core::fmt;

/// Why helm failed.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Cause {
    /// There is no such release.
    NoRelease,
    /// The target is not kept any more.
    NoTarget,
    /// Somebody else made the next revision first.
    LostRace,
    /// Something else is under way. A rollback is never told so, an upgrade is.
    Busy,
    /// The API server was not reached, or helm's way to it was closed.
    Unreachable,
    /// The credentials are not accepted.
    Unauthorized,
    /// Something may not be done; helm's words name the verb and the resource.
    Forbidden(String),
    /// The workloads were not ready in time; which one, as far as helm says.
    NotReady(String),
    /// A workload said itself that it will not be ready.
    DeadlineExceeded(String),
    /// A hook of the target failed or did not end in time.
    Hook(String),
    /// Somebody else owns fields that the target sets.
    FieldConflict(String),
    /// An object of the target is not as helm remembers it.
    ObjectMissing(String),
    /// The cluster does not know a kind that the target uses any more.
    KindGone(String),
    /// Helm was not used as it wants to be; its version is one that is not known here.
    Usage(String),
    /// Helm was ended by a signal.
    Killed,
    /// Anything else.
    Other(String),
}

/// The message of helm's error: everything from the last line that begins with `Error: `.
fn message(stderr: &str) -> &str {
    let begin = stderr
        .match_indices("Error: ")
        .filter(|(at, _)| {
            let before = stderr.get(..*at).unwrap_or_default();
            before.is_empty() || before.ends_with('\n')
        })
        .last();
    match begin {
        Some((at, mark)) => stderr.get(at.saturating_add(mark.len())..).unwrap_or_default(),
        None => stderr,
    }
    .trim()
}

/// Reads helm's standard error.
pub(crate) fn cause(stderr: &str) -> Cause {
    let message = message(stderr);
    let lower = message.to_ascii_lowercase();
    let has = |text: &str| lower.contains(text);
    let words = || clip(message);
    if has("provide credentials") || has("unauthorized") {
        return Cause::Unauthorized;
    }
    let away = ["kubernetes cluster unreachable", "connection refused", "an error on the server"];
    if away.iter().any(|text| has(text)) || has("context \"") {
        return Cause::Unreachable;
    }
    if has("release: not found") {
        return Cause::NoRelease;
    }
    if lower.starts_with("release has no ") && has(" version") {
        return Cause::NoTarget;
    }
    if has("release: already exists") {
        return Cause::LostRace;
    }
    if has("another operation (install/upgrade/rollback) is in progress") {
        return Cause::Busy;
    }
    if has(" is forbidden: ") {
        return Cause::Forbidden(words());
    }
    if has("conflict occurred while applying") || has("apply failed with") {
        return Cause::FieldConflict(words());
    }
    if is_hook(&lower) {
        return Cause::Hook(words());
    }
    if has("status: failed") || has("progress deadline exceeded") {
        return Cause::DeadlineExceeded(words());
    }
    if has("status: inprogress") || has("context deadline exceeded") || has("timed out waiting") {
        return Cause::NotReady(words());
    }
    if has("could not find the requested resource") || has("unable to build kubernetes objects") {
        // Which kind it is comes last, and is all that counts.
        let which = message.split_once("no matches for ").map_or(message, |(_, which)| which);
        return Cause::KindGone(clip(which.lines().next().unwrap_or_default()));
    }
    if (lower.starts_with("no ") || has("original object ")) && has("with the name ") {
        return Cause::ObjectMissing(words());
    }
    let usage = [
        "unknown flag",
        "invalid argument",
        "requires at least",
        "invalid operation: cannot use",
        "invalid client update option",
        "server-side apply method",
        "release name is invalid",
        "invalid release revision",
        "could not convert revision",
    ];
    if usage.iter().any(|text| has(text)) {
        return Cause::Usage(words());
    }
    if message.is_empty() { Cause::Killed } else { Cause::Other(words()) }
}

fn is_hook(lower: &str) -> bool {
    let job = lower.contains("resource job/") && lower.contains("not ready. status: ");
    let old = lower.starts_with("1 error occurred:")
        && (lower.contains("timed out waiting") || lower.contains("job "));
    job || old || lower.contains("warning: hook ") || lower.contains("hooks failed")
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoRelease => f.write_str("there is no such release; correct namespace and name"),
            Self::NoTarget => f.write_str(
                "helm does not keep the target any more; raise `--history-max`, and deploy that version anew",
            ),
            Self::LostRace => f.write_str("somebody else made the next revision first"),
            Self::Busy => f.write_str("another operation is in progress"),
            Self::Unreachable => f.write_str("helm did not reach the cluster"),
            Self::Unauthorized => {
                f.write_str("the cluster does not accept the credentials; renew them")
            }
            Self::Forbidden(words) => write!(f, "{words}; allow it in the Role (see rbac.yaml)"),
            Self::NotReady(words) => {
                write!(f, "not ready in time: {words}; look at the pods of the target")
            }
            Self::DeadlineExceeded(words) => {
                write!(f, "a workload gave up: {words}; look at the pods of the target")
            }
            Self::Hook(words) => write!(
                f,
                "a hook of the target did not succeed: {words}; look at its pod, then roll back once more"
            ),
            Self::FieldConflict(words) => write!(
                f,
                "somebody else owns fields of the target: {words}; take their change back, or apply with `--force-conflicts` by hand"
            ),
            Self::ObjectMissing(words) => write!(
                f,
                "an object is not there as helm remembers it: {words}; deploy that version anew"
            ),
            Self::KindGone(words) => write!(
                f,
                "the cluster does not serve what a revision has any more: {words}"
            ),
            Self::Usage(words) => {
                write!(f, "helm does not know how it was called: {words}; use Helm 3 or 4")
            }
            Self::Killed => f.write_str("helm ended without a word"),
            Self::Other(words) => f.write_str(words),
        }
    }
}

#[cfg(test)]
mod against_helm;

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(stderr: &str) -> String {
        let cause = format!("{:?}", cause(stderr));
        cause.split('(').next().unwrap_or_default().to_owned()
    }

    /// What helm 3 and helm 4 were seen to say.
    const SAID: &[(&str, &str)] = &[
        ("Error: release: not found", "NoRelease"),
        ("Error: release has no 99 version", "NoTarget"),
        ("Error: invalid release revision", "Usage"),
        (
            "Error: could not convert revision to a number: strconv.Atoi: parsing \"abc\": invalid syntax",
            "Usage",
        ),
        ("Error: prepareRollback: Release name is invalid: X", "Usage"),
        ("Error: release: already exists", "LostRace"),
        (
            "Error: UPGRADE FAILED: another operation (install/upgrade/rollback) is in progress",
            "Busy",
        ),
        (
            "Error: Kubernetes cluster unreachable: Get \"http://127.0.0.1:1/version\": EOF",
            "Unreachable",
        ),
        ("Error: kubernetes cluster unreachable: x", "Unreachable"),
        (
            "Error: unable to build kubernetes objects from current release manifest: unable to recognize \"\": an error on the server (\"unknown\") has prevented the request from succeeding",
            "Unreachable",
        ),
        ("Error: kubernetes cluster unreachable: context \"nope\" does not exist", "Unreachable"),
        (
            "Error: Kubernetes cluster unreachable: the server has asked for the client to provide credentials",
            "Unauthorized",
        ),
        (
            "Error: query: failed to query with labels: secrets is forbidden: User \"u\" cannot list resource \"secrets\" in API group \"\" in the namespace \"n\"",
            "Forbidden",
        ),
        (
            "Error: could not get information about the resource: deployments.apps \"demo\" is forbidden: User \"u\" cannot get resource",
            "Forbidden",
        ),
        ("Error: release demo failed: context deadline exceeded", "NotReady"),
        (
            "Error: release demo failed: resource Deployment/ns/demo not ready. status: InProgress, message: Replicas: 0/2\ncontext deadline exceeded",
            "NotReady",
        ),
        (
            "Error: release demo failed: resource Deployment/ns/demo not ready. status: Failed, message: Progress deadline exceeded",
            "DeadlineExceeded",
        ),
        ("Error: 1 error occurred:\n\t* timed out waiting for the condition\n\n", "Hook"),
        (
            "Error: resource Job/ns/name not ready. status: InProgress, message: Job in progress\ncontext deadline exceeded",
            "Hook",
        ),
        ("Error: 1 error occurred:\n\t* job migrate failed: BackoffLimitExceeded\n\n", "Hook"),
        (
            "Error: resource Job/ns/migrate not ready. status: Failed, message: Job Failed. failed: 1/1",
            "Hook",
        ),
        ("Error: warning: Hook pre-rollback demo/templates/hook.yaml failed: denied", "Hook"),
        (
            "Error: conflict occurred while applying object ns/demo apps/v1, Kind=Deployment: Apply failed with 1 conflict: conflict with \"kubectl-set\" using apps/v1: .spec.x",
            "FieldConflict",
        ),
        (
            "Error: invalid operation: cannot use server-side apply and force replace together",
            "Usage",
        ),
        (
            "Error: invalid client update option(s): forceConflicts enabled when serverSideApply disabled",
            "Usage",
        ),
        ("Error: invalid/unknown release server-side apply method: X", "Usage"),
        ("Error: no Deployment with the name \"x\" found", "ObjectMissing"),
        ("Error: original object Deployment with the name \"x\" not found", "ObjectMissing"),
        (
            "Error: failed to create resource: the server could not find the requested resource (post ingresses)",
            "KindGone",
        ),
        (
            "Error: unable to build kubernetes objects from current release manifest: no matches",
            "KindGone",
        ),
        (
            "Error: unable to build kubernetes objects from new release manifest: resource mapping not found for name: \"thing\" namespace: \"\" from \"\": no matches for kind \"Widget\" in version \"shop.example.com/v1\"\nensure CRDs are installed first",
            "KindGone",
        ),
        ("Error: unknown flag: --recreate-pods", "Usage"),
        ("Error: \"helm rollback\" requires at least 1 argument\n\nUsage:  helm rollback", "Usage"),
        ("level=WARN msg=\"x\"\nError: something new", "Other"),
        ("", "Killed"),
    ];

    #[test]
    fn every_failure_that_helm_is_known_to_tell_has_a_meaning() {
        let unreachable = "Kubernetes cluster unreachable: ";
        for (stderr, expected) in SAID {
            assert_eq!(kind(stderr), *expected, "{stderr}");
            assert!(!cause(stderr).to_string().contains('\n'), "{stderr}");
        }
        assert_eq!(kind(&unreachable.to_uppercase()), "Unreachable", "the case differs by version");
    }

    #[test]
    fn one_mark_of_a_cause_is_enough_and_half_a_mark_is_none() {
        for (stderr, expected) in [
            ("Error: conflict occurred while applying object ns/demo", "FieldConflict"),
            ("Error: Apply failed with 1 conflict: conflict with \"x\"", "FieldConflict"),
            ("Error: resource Deployment/ns/web not ready. status: Failed", "DeadlineExceeded"),
            ("Error: deployment web: progress deadline exceeded", "DeadlineExceeded"),
            ("Error: timed out waiting for the condition", "NotReady"),
            ("Error: 1 error occurred:\n\t* something new\n\n", "Other"),
            ("Error: no repositories to show", "Other"),
            ("Error: cannot reuse what goes with the name \"x\"", "Other"),
        ] {
            assert_eq!(kind(stderr), expected, "{stderr}");
        }
    }

    #[test]
    fn a_person_is_told_what_happened_and_what_to_do() {
        for (stderr, words) in [
            ("Error: release: not found", "correct namespace and name"),
            ("Error: release has no 99 version", "raise `--history-max`"),
            ("Error: release: already exists", "somebody else"),
            (
                "Error: secrets is forbidden: User \"u\" cannot list",
                "User \"u\" cannot list; allow",
            ),
            ("Error: release demo failed: context deadline exceeded", "not ready in time"),
            ("Error: unknown flag: --x", "use Helm 3 or 4"),
            ("", "helm ended without a word"),
            ("Error: something new", "something new"),
        ] {
            let told = cause(stderr).to_string();
            assert!(told.contains(words), "{told}");
        }
    }

    #[test]
    fn the_last_error_counts_and_all_of_its_lines() {
        let stderr =
            "Error: first\nlevel=WARN msg=\"Error: not this\"\nError: release: already exists\n";
        assert_eq!(cause(stderr), Cause::LostRace);
        assert_eq!(message("x\nError: a\nb\n"), "a\nb");
    }

    #[test]
    fn a_value_that_a_schema_quotes_is_not_told() {
        let stderr =
            "Error: Secret \"db\" is invalid: data.password: Invalid value: \"hunter2\": no";
        assert!(!cause(stderr).to_string().contains("hunter2"));
    }
}
