//! `rollback.yaml`: whatever is in it, it is good or every problem has its place, and no problem
//! repeats a token that somebody pasted.
#![no_main]

use libfuzzer_sys::fuzz_target;
use platform_service::{Config, Environment};

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let environment = Environment::of([("CD_TOKEN", "x"), ("ARGOCD_TOKEN", "x")]);
    let Err(problems) = Config::parse("rollback.yaml", text, &environment) else { return };
    let told = problems.to_string();
    assert!(told.starts_with("rollback.yaml:"), "{told}");
    assert!(!told.contains("xoxb-") && !told.contains("ghp_"), "{told}");
});
