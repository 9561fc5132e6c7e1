//! Slack's error codes, by whose fault they are.

/// Whose fault it is that Slack refused a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "each answer must be decided on")]
pub enum Fault {
    /// The call itself: the same again is refused for ever.
    Message,
    /// The person whom it is for cannot be told: no such account, or one that is switched off.
    Person,
    /// The token, the app, the channel or the workspace: the same call succeeds once somebody has
    /// fixed that. So it is with a code that is not known here: nothing is given up on a guess.
    World,
}

/// The calls that are refused for what is in them, over all methods that are used here.
const MESSAGE: [&str; 28] = [
    "attachment_payload_limit_exceeded",
    "block_mismatch",
    "duplicate_external_id",
    "invalid_arg_name",
    "invalid_arguments",
    "invalid_array_arg",
    "invalid_attachments",
    "invalid_blocks",
    "invalid_blocks_format",
    "invalid_charset",
    "invalid_form_data",
    "invalid_json",
    "invalid_metadata_format",
    "invalid_metadata_schema",
    "invalid_post_type",
    "invalid_ts_latest",
    "invalid_ts_oldest",
    "json_not_object",
    "markdown_text_conflict",
    "metadata_too_large",
    "missing_post_type",
    "msg_blocks_too_long",
    "msg_too_long",
    "no_text",
    "push_limit_reached",
    "streaming_state_conflict",
    "too_many_attachments",
    "view_too_large",
];

/// Whoever is named cannot be told.
const PERSON: [&str; 8] = [
    "cannot_dm_bot",
    "no_such_user",
    "user_disabled",
    "user_is_restricted",
    "user_not_found",
    "user_not_in_channel",
    "user_not_visible",
    "users_not_found",
];

/// Sorts a code.
pub(super) fn fault_of(code: &str) -> Fault {
    if MESSAGE.contains(&code) {
        Fault::Message
    } else if PERSON.contains(&code) {
        Fault::Person
    } else {
        Fault::World
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What `reference` pages and Slack's documentation name for the methods that are used here, and
    /// what is not known is kept.
    #[test]
    fn every_documented_code_is_somebodys_fault() {
        for (codes, fault) in [
            (
                &[
                    "invalid_blocks",
                    "invalid_blocks_format",
                    "msg_blocks_too_long",
                    "msg_too_long",
                    "metadata_too_large",
                    "invalid_arguments",
                    "view_too_large",
                    "duplicate_external_id",
                    "push_limit_reached",
                    "markdown_text_conflict",
                    "block_mismatch",
                    "streaming_state_conflict",
                ][..],
                Fault::Message,
            ),
            (
                &["user_disabled", "user_not_found", "user_not_visible", "user_not_in_channel"],
                Fault::Person,
            ),
            (
                &[
                    "access_denied",
                    "account_inactive",
                    "cannot_reply_to_message",
                    "channel_not_found",
                    "ekm_access_denied",
                    "enterprise_is_restricted",
                    "invalid_auth",
                    "is_archived",
                    "is_inactive",
                    "missing_scope",
                    "no_permission",
                    "no_such_subteam",
                    "not_allowed_token_type",
                    "not_authed",
                    "not_in_channel",
                    "org_login_required",
                    "plan_upgrade_required",
                    "restricted_action",
                    "restricted_action_read_only_channel",
                    "restricted_action_thread_only_channel",
                    "team_access_not_granted",
                    "thread_not_found",
                    "token_expired",
                    "token_revoked",
                    "two_factor_setup_required",
                    "update_failed",
                    "invented_next_year",
                    "",
                ],
                Fault::World,
            ),
        ] {
            for code in codes {
                assert_eq!(fault_of(code), fault, "{code}");
            }
        }
    }

    #[test]
    fn no_code_is_in_two_lists_and_each_list_is_sorted() {
        assert!(MESSAGE.is_sorted() && PERSON.is_sorted());
        assert!(!MESSAGE.iter().any(|code| PERSON.contains(code)));
    }
}
