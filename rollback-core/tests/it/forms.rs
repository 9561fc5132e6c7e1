//! Forms: what values look like to a store, a wire or a person, and the defaults that the contract
//! names.

use core::time::Duration;
use rollback_core::audit::BackendEntry;
use rollback_core::named::NAMES_MAX;
use rollback_core::observed::ExpectedDuration;
use rollback_core::ports::{Capabilities, CompareAndSet, Fence, Instance, Query};
use rollback_core::{
    Actor, Deploy, Limits, Migration, Migrations, Restorable, Reversible, Revision, StateName,
};
use rollback_testkit::fixtures::{self, parsed};
use serde_json::{Value, json};

#[test]
fn whether_a_revision_can_be_restored_is_true_false_or_null_on_the_wire() {
    for (restorable, wire) in [
        (Restorable::Yes, json!(true)),
        (Restorable::No, json!(false)),
        (Restorable::Unknown, Value::Null),
    ] {
        assert_eq!(serde_json::to_value(restorable).unwrap(), wire);
        assert_eq!(serde_json::from_value::<Restorable>(wire).unwrap(), restorable);
    }
}

#[test]
fn migrations_are_null_when_unknown_and_an_empty_list_when_there_are_none() {
    let one = Migration::new("20261121_drop_col", Reversible::No);
    for (migrations, wire) in [
        (Migrations::Unknown, Value::Null),
        (Migrations::Known(Vec::new()), json!([])),
        (Migrations::Known(vec![one]), json!([{"id": "20261121_drop_col", "reversible": "no"}])),
    ] {
        assert_eq!(serde_json::to_value(&migrations).unwrap(), wire);
        assert_eq!(serde_json::from_value::<Migrations>(wire).unwrap(), migrations);
    }
    let bare: Revision = serde_json::from_value(json!({"id": "41"})).unwrap();
    assert_eq!((bare.migrations, bare.restorable), (Migrations::Unknown, Restorable::Unknown));
}

#[test]
fn the_audit_record_says_what_the_backend_can_do_as_the_contract_spells_it() {
    for (compare_and_set, spelled) in
        [(CompareAndSet::Yes, "yes"), (CompareAndSet::Ticket, "ticket"), (CompareAndSet::No, "no")]
    {
        for (fence, fenced) in [(Fence::Yes, "yes"), (Fence::No, "no")] {
            let entry =
                BackendEntry::new(parsed("prod"), Capabilities::new(compare_and_set, fence));
            let expected = json!({
                "name": "prod", "compare_and_set": spelled, "fence": fenced,
                "cancel": "no", "in_progress": "no", "undoing": "no",
            });
            assert_eq!(serde_json::to_value(&entry).unwrap(), expected);
            // An older record says less, and is about the same backend.
            let older = json!({"name": "prod", "compare_and_set": spelled, "fence": fenced});
            let older: BackendEntry = serde_json::from_value(older).unwrap();
            assert!(entry.agrees_with(&older) && older.agrees_with(&entry));
            let full = BackendEntry::new(parsed("prod"), Capabilities::full());
            assert!(!entry.agrees_with(&full), "it cancels nothing");
        }
    }
}

#[test]
fn a_deploy_refers_to_its_revision_once_that_is_known() {
    let mut deploy = Deploy::new(parsed("ci-4711"), fixtures::key(), "2.14.0", fixtures::at(0));
    deploy.commit = Some("9f3c2ab".into());
    assert_eq!(deploy.reference(), None);
    deploy.revision = Some(parsed("42"));
    let reference = deploy.reference().unwrap();
    assert_eq!(reference.revision.as_str(), "42");
    assert_eq!(reference.version, Some("2.14.0".into()));
    assert_eq!(reference.commit, Some("9f3c2ab".into()));
}

#[test]
fn a_revision_without_other_names_is_written_as_it_always_was_and_keeps_a_bounded_number() {
    let mut revision: Revision = serde_json::from_value(json!({"id": "41"})).unwrap();
    assert!(revision.names.is_empty());
    assert_eq!(serde_json::to_value(&revision).unwrap().get("names"), None);
    for name in 0..2 * NAMES_MAX {
        revision.call(parsed(&name.to_string()), None);
        revision.call(parsed(&name.to_string()), Some(fixtures::at(0)));
    }
    assert_eq!(revision.names.len(), NAMES_MAX);
    assert_eq!(serde_json::to_value(&revision).unwrap()["names"][1], json!({"name": "1"}));
    let deploy = Deploy::new(parsed("ci-4711"), fixtures::key(), "2.14.0", fixtures::at(0));
    assert_eq!(serde_json::to_value(&deploy).unwrap().get("reported"), None);
}

#[test]
fn an_expected_duration_is_whole_milliseconds_on_the_wire() {
    let about = ExpectedDuration::about(Duration::from_secs(90));
    assert_eq!(about.duration(), Duration::from_secs(90));
    assert_eq!(serde_json::to_value(about).unwrap(), json!(90_000));
}

#[test]
fn an_instance_is_known_by_the_name_it_was_given() {
    assert_eq!(Instance::new("host-1/4711").as_str(), "host-1/4711");
}

#[test]
fn a_query_for_everything_leaves_nothing_out_but_what_is_past_its_limit() {
    let query = Query::all(7);
    let filters = (query.service, query.environment, query.state, query.rollback, query.after);
    assert_eq!(filters, (None, None, None, None, 0));
    assert_eq!(query.limit, 7);
}

/// The last eight of the machine's picture; what is left to do after them is a person's.
#[test]
fn the_states_without_a_way_on_are_the_ends() {
    let ends: Vec<&str> =
        StateName::ALL.into_iter().filter(|name| name.is_end()).map(StateName::as_str).collect();
    let expected = [
        "succeeded",
        "failed",
        "not_verified",
        "refused",
        "denied",
        "withdrawn",
        "expired",
        "outcome_unknown",
    ];
    assert_eq!(ends, expected);
}

#[test]
fn the_bounds_on_time_are_those_of_the_contract_unless_said_otherwise() {
    let limits = serde_json::to_value(Limits::default()).unwrap();
    for (name, seconds) in [
        ("cd_timeout", 10),
        ("fact_age_max", 30),
        ("confirm_within", 10 * 60),
        ("approve_within", 30 * 60),
        ("run_within", 30 * 60),
        ("doubt_within", 15 * 60),
        ("settle", 5),
        ("cool_down", 5 * 60),
        ("lease", 15),
        ("directory_age_max", 60),
    ] {
        assert_eq!(limits.get(name), Some(&json!(seconds * 1_000)), "{name}");
    }
}

/// Names can be forged, and are for people.
#[test]
fn two_actors_are_the_same_by_account_and_workspace_whatever_their_names() {
    let (ana, bo) = (fixtures::ana(), fixtures::bo());
    let renamed = |workspace: Option<&str>| {
        let mut actor = Actor::new(ana.id());
        actor.workspace = workspace.map(parsed);
        actor
    };
    assert!(ana.actor().is(&renamed(Some("T0HOME"))));
    assert!(!ana.actor().is(&renamed(Some("T0OTHER"))));
    assert!(!ana.actor().is(&renamed(None)));
    assert!(!ana.actor().is(&bo.actor()));
}
