//! The good rollback on a real cluster in a real headless Chromium, as a visitor plays it.
//!
//! `DEMO_SHOTS=<folder>` writes screenshots on the way.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

#[path = "../../../demo/tests/it/browser/driver.rs"]
#[expect(dead_code, reason = "the other browser test uses all of it")]
mod driver;

use crate::common;
use demo::Demo;
use demo_cluster::Adapter;
use driver::{Browser, ESCAPE, programs};
use std::path::PathBuf;

async fn shot(browser: &Browser, name: &str) {
    if let Some(folder) = std::env::var_os("DEMO_SHOTS") {
        browser.screenshot(&PathBuf::from(folder).join(name)).await;
    }
}

async fn a_visitor_heals_the_shop(adapter: Adapter) {
    let Some(programs) = programs("the demo on a cluster in a browser") else { return };
    let Some(stage) = common::stage(adapter) else { return };
    let dir = tempfile::tempdir().unwrap();
    let program = env!("CARGO_BIN_EXE_demo-cluster").into();
    let setup = stage.setup(dir.path().to_owned(), program).await.unwrap();
    let demo = Demo::start(setup).await.unwrap();
    let browser = Browser::open(&programs, 1500, 900).await;
    browser.go(&demo.url()).await;
    let ready =
        format!("document.querySelector('.demo-steps')?.dataset.ready === '{}'", adapter.as_str());
    browser.until(&ready).await;
    browser.reads("#messages", "2.14.0").await;
    browser
        .until("document.querySelector('#demo-shop h2').textContent.includes('the cluster')")
        .await;
    browser.reads("#demo-shop-status", "broken").await;
    shot(&browser, &format!("{}-broken.png", adapter.as_str())).await;
    browser.click("#messages [data-action-id=\"rollback_open\"]").await;
    browser.click("#modal textarea").await;
    shot(&browser, &format!("{}-modal.png", adapter.as_str())).await;
    browser.keys("Customers cannot pay: no pod is ready").await;
    browser.click("#modal-submit").await;
    let is = |state: &str| {
        format!("document.querySelector('#demo li.lit')?.dataset.state === '{state}'")
    };
    browser.until(&is("succeeded")).await;
    browser.reads("#demo-shop-status", "works").await;
    browser.keys(ESCAPE).await;
    browser.click("#messages li:last-child [data-thread]").await;
    browser.reads("#replies li:last-child", "Rolled back").await;
    shot(&browser, &format!("{}-healthy.png", adapter.as_str())).await;
    drop(browser);
    demo.stop().await.unwrap();
}

#[tokio::test]
async fn a_visitor_heals_a_deployment() {
    a_visitor_heals_the_shop(Adapter::Kubernetes).await;
}

#[tokio::test]
async fn a_visitor_heals_a_release() {
    a_visitor_heals_the_shop(Adapter::Helm).await;
}
