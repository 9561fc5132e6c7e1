//! How PostgreSQL would answer our questions, with the plan that it keeps for every value.

use super::{PostgresOptions, PostgresStore, audit, prune, service};
use crate::questions::{columns_of_audit, columns_of_list, every};
use postgres_lab::Server;
use rollback_core::ports::Query;
use tokio_postgres::{Client, NoTls, SimpleQueryMessage};

/// The plan of a question. The tables are empty, for which reading the whole is the best of plans: it
/// is forbidden here, so that it shows where there is no other.
async fn plan(client: &Client, question: &str, values: &str) -> String {
    let explain = format!(
        "SET enable_seqscan = off; SET enable_sort = off; SET enable_bitmapscan = off;
         SET plan_cache_mode = force_generic_plan;
         PREPARE asked AS {question}; EXPLAIN EXECUTE asked ({values}); DEALLOCATE asked"
    );
    let mut plan = String::new();
    for message in client.simple_query(&explain).await.unwrap() {
        if let SimpleQueryMessage::Row(row) = message {
            plan.push_str(row.get(0).unwrap_or_default());
            plan.push('\n');
        }
    }
    plan
}

/// The values of a question, as somebody writes them by hand.
fn written(before: &[&str], columns: &[&str], query: &Query) -> String {
    let columns = columns.iter().map(|name| format!("'{name}'"));
    let values = before.iter().map(ToString::to_string).chain(columns);
    values.chain([query.limit.to_string()]).collect::<Vec<_>>().join(", ")
}

#[tokio::test]
async fn every_question_is_answered_by_an_index() {
    let Some(server) = Server::shared("plans of PostgreSQL") else { return };
    let space = server.space();
    PostgresStore::connect(&space.url(), PostgresOptions::default()).await.unwrap().close();
    let (client, connection) = tokio_postgres::connect(&space.url(), NoTls).await.unwrap();
    tokio::spawn(connection);
    for query in every() {
        let list = (service::question(&query), written(&[], &columns_of_list(&query), &query));
        let log = (audit::question(&query), written(&["7"], &columns_of_audit(&query), &query));
        for (question, values) in [list, log] {
            let plan = plan(&client, question, &values).await;
            let reads_all = plan.contains("Seq Scan") || plan.contains("Sort");
            assert!(plan.contains("Index") && !reads_all, "{question}\n{plan}");
        }
    }
    for (question, index) in [
        (prune::DIGESTS, "seen_until"),
        (prune::CLAIMS, "claim_until"),
        (prune::FREEZES, "frozen_ended"),
        (prune::SETTLED, "outbox_unsettled"),
        (prune::OLD, "outbox_settled"),
        (prune::UNCONFIRMED, "rollback_unconfirmed"),
    ] {
        let plan = plan(&client, question, "7, 50").await;
        assert!(plan.contains(index) && !plan.contains("Seq Scan"), "{question}\n{plan}");
    }
    for (question, index) in
        [(service::SHOWN, "rollback_shown"), (audit::LAST, "audit_of_rollback")]
    {
        let plan = plan(&client, question, "'x'").await;
        assert!(plan.contains(index) && !plan.contains("Seq Scan"), "{question}\n{plan}");
    }
}
