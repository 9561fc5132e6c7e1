//! A host's property over its own policy, as README shows it, and what that property finds.

// README: from here
use rollback_core::access::AccessPolicy;
use rollback_testkit::policy::{self, Case};

/// Whoever our policy lets do anything owns the service, or is in the emergency group.
fn is_one_of_ours(case: &Case) -> bool {
    case.allowed().all(|person| {
        let owns = match case.key.service.as_str() {
            "checkout" => person.is_in("S0PAYMENTS") || person.is("U02ANA"),
            "search" => person.is_in("S0SEARCH"),
            _ => false,
        };
        owns || person.is_in("S0INCIDENT")
    })
}

#[test]
fn nobody_but_its_owners_can_roll_a_service_back() {
    let ours: AccessPolicy = serde_json::from_str(include_str!("../access.json")).unwrap();
    policy::check(&ours, 512, is_one_of_ours);
}
// README: to here

/// The policy of the property above, with one change.
fn changed(change: impl FnOnce(&mut AccessPolicy)) -> AccessPolicy {
    let mut policy: AccessPolicy =
        serde_json::from_str(include_str!("../access.json")).unwrap_or_default();
    change(&mut policy);
    policy
}

#[test]
fn a_rule_that_lets_everybody_in_fails_the_property() {
    use rollback_core::access::{Pattern, Principal, Rule};
    let planted = changed(|policy| {
        let everybody = vec![Principal::Group("S0EVERYBODY".parse().unwrap())];
        policy.owners.push(Rule::new("everybody", Pattern::any(), Pattern::any(), everybody));
    });
    let failure = policy::try_check(&planted, 512, is_one_of_ours).unwrap_err();
    assert!(matches!(failure, policy::Failure::Violated { .. }), "{failure}");
    assert!(failure.to_string().contains("allowed by `everybody`"), "{failure}");
}

#[test]
fn an_owning_group_of_every_service_fails_the_property() {
    use rollback_core::access::Pattern;
    let planted = changed(|policy| {
        for rule in policy.owners.iter_mut().take(1) {
            rule.services = Pattern::any();
        }
    });
    let failure = policy::try_check(&planted, 512, is_one_of_ours).unwrap_err();
    assert!(matches!(failure, policy::Failure::Violated { .. }), "{failure}");
}

#[test]
fn a_policy_that_lets_nobody_in_does_not_pass_for_want_of_cases() {
    let nobody = changed(|policy| {
        policy.owners.clear();
        policy.break_glass.clear();
    });
    let failure = policy::try_check(&nobody, 512, is_one_of_ours).unwrap_err();
    let text = failure.to_string();
    assert!(text.contains("nobody was ever allowed, nothing was ever ordered"), "{text}");
    assert!(text.contains("hint: the policy names no owner"), "{text}");
}
