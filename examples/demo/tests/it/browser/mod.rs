//! The main scenes in a real headless Chromium, as a visitor plays them.
//!
//! `DEMO_SHOTS=<folder>` writes screenshots on the way; `docs/demo.png` is one of them.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod driver;

use demo::scenes::{ANA, BO, EVE, SCENES};
use demo::{Demo, Setup};
use driver::{Browser, ENTER, ESCAPE, programs};
use std::path::PathBuf;

const OPEN: &str = "#messages [data-action-id=\"rollback_open\"]";
const REASON: &str = "#modal textarea";

struct Visit {
    demo: Demo,
    browser: Browser,
    _dir: tempfile::TempDir,
}

impl Visit {
    async fn of(programs: &(PathBuf, PathBuf), width: u32, height: u32) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let setup = Setup::new(dir.path().to_owned(), env!("CARGO_BIN_EXE_demo").into());
        let demo = Demo::start(setup).await.unwrap();
        let browser = Browser::open(programs, width, height).await;
        browser.go(&demo.url()).await;
        Self { demo, browser, _dir: dir }
    }

    async fn shot(&self, name: &str) {
        if let Some(folder) = std::env::var_os("DEMO_SHOTS") {
            self.browser.screenshot(&PathBuf::from(folder).join(name)).await;
        }
    }

    async fn begin(&self, scene: &str) {
        self.browser.choose("#demo-scene", scene).await;
        // The menu shows the choice at once; the stage of the scene before stands a little longer.
        self.browser
            .until(&format!("document.querySelector('.demo-steps').dataset.ready === '{scene}'"))
            .await;
        self.browser.reads("#messages", "2.14.0").await;
        self.browser.reads("#demo-shop-status", "broken").await;
    }

    async fn look_as(&self, who: &str) {
        self.browser.click(&format!("[data-person=\"{who}\"]")).await;
        self.browser
            .until(&format!("document.querySelector('[data-person=\"{who}\"] input').checked"))
            .await;
    }

    async fn roll_back(&self) {
        self.browser.click(OPEN).await;
        self.confirm().await;
    }

    /// Gives a reason in the open modal, and submits it.
    async fn confirm(&self) {
        self.browser.click(REASON).await;
        self.browser.keys("Customers cannot pay: the catalog has no prices").await;
        self.browser.click("#modal-submit").await;
    }

    /// Waits until the page says that this much has happened by itself.
    async fn happened(&self, cues: usize) {
        self.browser
            .until(&format!("document.querySelectorAll('.demo-told li').length === {cues}"))
            .await;
    }

    async fn stays_broken(&self) {
        self.browser.reads("#demo-shop-status", "broken").await;
    }

    async fn ends(&self, state: &str) {
        self.browser
            .until(&format!("document.querySelector('#demo li.lit')?.dataset.state === '{state}'"))
            .await;
        self.browser.reads("#demo-chain", "verified").await;
    }

    async fn over(self) {
        drop(self.browser);
        self.demo.stop().await.unwrap();
    }
}

#[tokio::test]
async fn a_visitor_heals_the_shop_with_a_mouse_then_plays_the_other_scenes() {
    let Some(programs) = programs("the main scenes in a browser") else { return };
    let visit = Visit::of(&programs, 1280, 800).await;
    visit.browser.reads("#demo-shop-status", "broken").await;
    visit.shot("start.png").await;
    visit.browser.click(OPEN).await;
    visit.browser.click(REASON).await;
    visit.shot("modal.png").await;
    visit.browser.keys("Customers cannot pay: the catalog has no prices").await;
    visit.browser.click("#modal-submit").await;
    visit
        .browser
        .until("document.querySelector('#demo li.lit')?.dataset.state === 'running'")
        .await;
    visit.shot("running.png").await;
    visit.ends("succeeded").await;
    visit.browser.reads("#demo-shop-status", "works").await;
    visit
        .browser
        .until("!document.querySelector('#messages [data-action-id=\"rollback_open\"]')")
        .await;
    visit.browser.keys(ESCAPE).await;
    visit.shot("healed.png").await;
    visit.browser.resize(1500, 900).await;
    visit.browser.click("#messages li:last-child [data-thread]").await;
    visit.browser.reads("#replies li:last-child", "Rolled back").await;
    visit.shot("demo.png").await;
    visit.browser.keys(ESCAPE).await;
    visit.browser.resize(1280, 800).await;

    visit.begin("denied").await;
    visit.look_as(EVE).await;
    visit.browser.click(OPEN).await;
    visit.ends("denied").await;
    visit.browser.reads("#modal, [data-ephemeral]", "may not").await;
    visit.browser.keys(ESCAPE).await;
    visit.shot("denied.png").await;

    visit.begin("irreversible").await;
    visit.browser.reads("#messages", "20261121_drop_legacy_prices").await;
    visit
        .browser
        .until("!document.querySelector('#messages [data-action-id=\"rollback_open\"]')")
        .await;
    visit.shot("irreversible.png").await;

    visit.begin("four-eyes").await;
    visit.look_as(ANA).await;
    visit.roll_back().await;
    visit
        .browser
        .until("document.querySelector('#demo li.lit')?.dataset.state === 'approving'")
        .await;
    visit.browser.keys(ESCAPE).await;
    visit.look_as(BO).await;
    visit.browser.click("#messages li:last-child [data-thread]").await;
    visit.shot("approving.png").await;
    visit.browser.click("#replies [data-action-id=\"rollback_approve\"]").await;
    visit.browser.click("#confirm-yes").await;
    visit.ends("succeeded").await;
    visit.shot("approved.png").await;

    visit.begin("kill").await;
    visit.look_as(ANA).await;
    visit.roll_back().await;
    visit.browser.reads(".demo-process", "no process is running").await;
    visit.shot("killed.png").await;
    visit.ends("succeeded").await;
    visit.browser.reads("#demo-shop-status", "works").await;
    visit.over().await;
}

#[tokio::test]
async fn a_visitor_plays_the_scenes_in_which_the_order_is_never_given() {
    let Some(programs) = programs("the refusals in a browser") else { return };
    let visit = Visit::of(&programs, 1280, 800).await;

    visit.begin("unknown").await;
    visit.browser.reads("#messages", "not known which migrations").await;
    visit
        .browser
        .until("!document.querySelector('#messages [data-action-id=\"rollback_open\"]')")
        .await;

    visit.begin("newer").await;
    visit.look_as(ANA).await;
    visit.browser.click(OPEN).await;
    visit.happened(1).await;
    visit.browser.reads("#demo-shop-status", "works").await;
    visit.confirm().await;
    visit.ends("refused").await;
    visit.browser.reads("#modal", "2.14.1").await;
    visit.browser.keys(ESCAPE).await;
    visit.shot("newer.png").await;

    visit.begin("missing").await;
    visit.look_as(ANA).await;
    visit.happened(1).await;
    visit.browser.click(OPEN).await;
    visit.ends("refused").await;
    visit.browser.reads("#modal", "41").await;
    visit.browser.until("!document.querySelector('#modal textarea')").await;
    visit.browser.keys(ESCAPE).await;
    visit.stays_broken().await;

    visit.begin("unreachable").await;
    visit.look_as(ANA).await;
    visit.happened(1).await;
    visit.browser.click(OPEN).await;
    visit.ends("refused").await;
    visit.browser.reads("#modal", "deployment folder does not answer").await;
    visit.shot("unreachable.png").await;
    visit.browser.keys(ESCAPE).await;

    visit.begin("drill").await;
    visit.look_as(ANA).await;
    visit.browser.reads("#messages", "rill").await;
    visit.roll_back().await;
    visit.ends("succeeded").await;
    visit.shot("drill.png").await;
    visit.browser.keys(ESCAPE).await;
    visit.stays_broken().await;
    visit.over().await;
}

#[tokio::test]
async fn a_visitor_plays_the_scenes_in_which_others_interfere() {
    let Some(programs) = programs("the race and the outage in a browser") else { return };
    let visit = Visit::of(&programs, 1280, 800).await;

    visit.begin("race").await;
    visit.look_as(ANA).await;
    visit.browser.click(OPEN).await;
    visit.happened(1).await;
    visit.confirm().await;
    visit.happened(2).await;
    visit.browser.reads("#demo-shop-status", "works").await;
    visit.browser.keys(ESCAPE).await;
    visit.look_as(BO).await;
    // By a hair: at the confirmation, or already by the look before it.
    let told = "[...document.querySelectorAll('#modal, [data-ephemeral]')]";
    let which = "/confirmed first|is under way/.test(one.innerText)";
    visit.browser.until(&format!("{told}.some((one) => {which})")).await;
    visit.shot("race.png").await;
    visit.browser.keys(ESCAPE).await;

    visit.begin("outage").await;
    visit.look_as(ANA).await;
    visit.roll_back().await;
    visit.happened(1).await;
    visit.browser.reads("#demo-shop-status", "works").await;
    visit.shot("outage.png").await;
    visit.ends("succeeded").await;
    visit.happened(2).await;
    visit.browser.keys(ESCAPE).await;
    visit.browser.click("#messages li:last-child [data-thread]").await;
    visit.browser.reads("#replies", "healthy").await;
    visit.over().await;
}

#[test]
fn every_scene_is_played_in_a_browser() {
    let here = include_str!("mod.rs");
    for scene in SCENES {
        let played = here.contains(&format!("begin(\"{}\")", scene.id));
        // A visit begins with the first scene.
        assert!(played || scene.id == SCENES[0].id, "nobody plays `{}`", scene.id);
    }
}

#[tokio::test]
async fn a_visitor_heals_the_shop_with_the_keyboard_alone() {
    let Some(programs) = programs("the good rollback by keyboard") else { return };
    let visit = Visit::of(&programs, 1280, 800).await;
    visit.browser.reads("#messages", "2.14.0").await;
    visit.browser.tab_to(OPEN).await;
    visit.browser.keys(ENTER).await;
    visit.browser.until("document.querySelector('#modal textarea')").await;
    visit.browser.tab_to(REASON).await;
    visit.browser.keys("Customers cannot pay").await;
    visit.browser.tab_to("#modal-submit").await;
    visit.browser.keys(ENTER).await;
    visit.ends("succeeded").await;
    visit.browser.reads("#demo-shop-status", "works").await;
    visit.over().await;
}

#[tokio::test]
async fn a_visitor_heals_the_shop_on_a_phone() {
    let Some(programs) = programs("the good rollback on a narrow screen") else { return };
    let visit = Visit::of(&programs, 360, 740).await;
    let fits = "document.scrollingElement.scrollWidth <= 360";
    visit.browser.reads("#messages", "2.14.0").await;
    visit.browser.until(fits).await;
    visit.shot("phone-chat.png").await;
    visit.browser.click("#tabs [data-tab=\"panel\"]").await;
    visit.browser.reads("#demo-shop-status", "broken").await;
    visit.browser.until(fits).await;
    visit.shot("phone-panel.png").await;
    visit.browser.click("#tabs [data-tab=\"chat\"]").await;
    visit.browser.click(OPEN).await;
    visit.browser.click(REASON).await;
    visit.browser.until(fits).await;
    visit.shot("phone-modal.png").await;
    visit.browser.keys("Customers cannot pay").await;
    visit.browser.click("#modal-submit").await;
    visit.browser.reads("#modal", "healthy").await;
    visit.browser.keys(ESCAPE).await;
    visit.browser.click("#tabs [data-tab=\"panel\"]").await;
    visit.ends("succeeded").await;
    visit.browser.until(fits).await;
    visit.over().await;
}
