//! TRAPS.md names a test for each trap: every one of them exists, and is a test.

#[test]
fn every_trap_is_held_by_tests_that_exist() {
    let missing = pages::missing("rollback-kube/TRAPS.md", 30);
    assert!(missing.is_empty(), "TRAPS.md names what is no test: {missing:#?}");
}
