//! What becomes of a message that Slack refuses, by each code that it documents: only a fault of
//! the message itself is final. Whatever somebody can mend in the world is kept until it is mended.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::Arc;
use std::time::Duration;

use crate::fixtures::{card, now, view};
use async_trait::async_trait;
use rollback_core::Timestamp;
use rollback_core::notice::{Delivery, Notice};
use rollback_core::ports::{Clock, Notifier, NotifyError};
use rollback_slack::{SlackNotifier, WebApi, WebApiOptions};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

#[derive(Debug)]
struct Real;

#[async_trait]
impl Clock for Real {
    fn now(&self) -> Timestamp {
        let since = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap();
        Timestamp::from_millis(since.as_millis().try_into().unwrap())
    }

    async fn sleep_until(&self, _: Timestamp) {}

    async fn sleep(&self, _: Duration) {}
}

/// A Slack that answers everything with this code.
async fn refusing(code: &'static str) -> SlackNotifier {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut options = WebApiOptions::default();
    options.base_url = format!("http://{}/api/", listener.local_addr().unwrap());
    options.attempts_max = 1;
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            tokio::spawn(async move {
                let mut bytes = [0; 65_536];
                drop(stream.read(&mut bytes).await);
                let body = format!(r#"{{"ok":false,"error":"{code}"}}"#);
                let answer = format!(
                    "HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
                    body.len()
                );
                drop(stream.write_all(answer.as_bytes()).await);
            });
        }
    });
    let api = WebApi::new("xoxb-local-slack".into(), options).unwrap();
    SlackNotifier::new(api, Arc::new(Real))
}

fn deploy() -> Delivery {
    let mut card = card(&json!({}));
    card.deploy.deployed_at = Real.now();
    let notice = Notice::Deploy(Box::new(card));
    Delivery::new("deploy:ci-4711", 1, notice, "C0DEPLOYS".parse().unwrap())
}

fn approval() -> Delivery {
    let mut view = view("approving", &json!({}));
    view.opened_at = now();
    let notice = Notice::Approval(Box::new(view));
    Delivery::new("approval:rb-1", 1, notice, "C0DEPLOYS".parse().unwrap())
}

/// The token, the app, the channel or the workspace must be mended; then the message can be posted.
const THE_WORLDS: [&str; 29] = [
    "access_denied",
    "account_inactive",
    "as_user_not_supported",
    "channel_not_found",
    "ekm_access_denied",
    "enterprise_is_restricted",
    "invalid_auth",
    "is_archived",
    "is_inactive",
    "messages_tab_disabled",
    "missing_scope",
    "no_permission",
    "not_allowed_token_type",
    "not_authed",
    "not_in_channel",
    "org_login_required",
    "restricted_action",
    "restricted_action_non_threadable_channel",
    "restricted_action_read_only_channel",
    "restricted_action_thread_locked",
    "restricted_action_thread_only_channel",
    "team_access_not_granted",
    "team_disabled",
    "team_not_found",
    "thread_locked",
    "token_expired",
    "token_revoked",
    "two_factor_setup_required",
    "user_removed_from_team",
];

/// The same bytes would be refused for ever.
const THE_MESSAGES: [&str; 8] = [
    "invalid_arguments",
    "invalid_blocks",
    "invalid_blocks_format",
    "invalid_metadata_format",
    "markdown_text_conflict",
    "metadata_too_large",
    "msg_blocks_too_long",
    "msg_too_long",
];

#[tokio::test]
async fn what_somebody_can_mend_never_loses_a_message() {
    for code in THE_WORLDS {
        for delivery in [deploy(), approval()] {
            let error = refusing(code).await.deliver(&delivery).await.unwrap_err();
            let is_lost = matches!(error, NotifyError::Rejected { .. });
            assert!(!is_lost, "{code} loses a message for good: {error}");
            assert!(error.to_string().contains(code), "{error}");
        }
    }
}

#[tokio::test]
async fn a_code_that_nobody_knows_yet_never_loses_a_message() {
    let error = refusing("invented_next_year").await.deliver(&deploy()).await.unwrap_err();
    assert!(!matches!(error, NotifyError::Rejected { .. }), "{error}");
}

#[tokio::test]
async fn slacks_own_trouble_is_tried_again() {
    for code in ["internal_error", "fatal_error", "service_unavailable", "request_timeout"] {
        let error = refusing(code).await.deliver(&deploy()).await.unwrap_err();
        let again = matches!(error, NotifyError::InDoubt { .. } | NotifyError::Retry { .. });
        assert!(again, "{code}: {error:?}");
    }
    for code in ["ratelimited", "rate_limited"] {
        let error = refusing(code).await.deliver(&deploy()).await.unwrap_err();
        assert!(matches!(error, NotifyError::Retry { after: Some(_), .. }), "{code}: {error:?}");
    }
}

#[tokio::test]
async fn a_message_that_slack_refuses_as_it_is_is_told_in_plain_text_before_it_is_given_up() {
    for code in THE_MESSAGES {
        let error = refusing(code).await.deliver(&deploy()).await.unwrap_err();
        let NotifyError::Rejected { why } = &error else { panic!("{code}: {error:?}") };
        assert!(why.contains(code), "{why}");
    }
}

/// A Slack that refuses blocks and takes text.
#[tokio::test]
async fn blocks_that_slack_does_not_take_become_plain_text() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut options = WebApiOptions::default();
    options.base_url = format!("http://{}/api/", listener.local_addr().unwrap());
    let seen = tokio::spawn(async move {
        let mut seen = Vec::new();
        for answer in [
            r#"{"ok":false,"error":"invalid_blocks"}"#,
            r#"{"ok":true,"channel":"C0DEPLOYS","ts":"1700000000.000100"}"#,
        ] {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut bytes = Vec::new();
            while !String::from_utf8_lossy(&bytes).ends_with('}') {
                stream.read_buf(&mut bytes).await.unwrap();
            }
            seen.push(String::from_utf8_lossy(&bytes).into_owned());
            let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}", answer.len());
            let answer = format!("{head}\r\nconnection: close\r\n\r\n{answer}");
            stream.write_all(answer.as_bytes()).await.unwrap();
        }
        seen
    });
    let api = WebApi::new("xoxb-local-slack".into(), options).unwrap();
    let notifier = SlackNotifier::new(api, Arc::new(Real));
    let told = tokio::time::timeout(Duration::from_secs(5), notifier.deliver(&deploy())).await;
    told.unwrap().unwrap();
    let seen = seen.await.unwrap();
    assert!(seen[0].contains("\"blocks\""), "{}", seen[0]);
    assert!(!seen[1].contains("\"blocks\":[{"), "{}", seen[1]);
    assert!(seen[1].contains("deploy:ci-4711"), "it is found by its key: {}", seen[1]);
}
