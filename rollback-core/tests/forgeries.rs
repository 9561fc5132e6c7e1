//! Proofs cannot be forged, cloned, or read back from anywhere: none of these compiles.

#[test]
fn proofs_cannot_be_forged_cloned_or_deserialized() {
    let cases = trybuild::TestCases::new();
    cases.compile_fail("tests/forgeries/*.rs");
}
