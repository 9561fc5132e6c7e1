//! As much of `WebDriver` as the tests need: a real Chromium, driven as a person would.

use serde_json::{Value, json};
use std::io::{Read as _, Write as _};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(40);
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";
pub(crate) const ENTER: &str = "\u{e007}";
pub(crate) const ESCAPE: &str = "\u{e00c}";
pub(crate) const TAB: &str = "\u{e004}";

/// One browser window with nothing in it that was there before.
pub(crate) struct Browser {
    driver: Child,
    session: String,
    http: reqwest::Client,
    _profile: tempfile::TempDir,
}

impl Drop for Browser {
    fn drop(&mut self) {
        // A browser outlives a driver that is killed; a test that failed must not leave one.
        let _ended = self.end();
        let _gone = self.driver.kill();
        let _reaped = self.driver.wait();
    }
}

/// The paths of chromium and chromedriver. Without them the test is skipped by name; with
/// `CI=true` that is a failure.
pub(crate) fn programs(test: &str) -> Option<(PathBuf, PathBuf)> {
    let find = |name: &str| {
        let path = std::env::var_os("PATH")?;
        std::env::split_paths(&path).map(|folder| folder.join(name)).find(|path| path.exists())
    };
    let chromium = find("chromium").or_else(|| find("chromium-browser"));
    let found = chromium.zip(find("chromedriver"));
    if found.is_none() {
        let missing = "chromium and chromedriver are not both on the PATH (Debian: chromium, chromium-driver)";
        peer::skipped(test, missing);
    }
    found
}

impl Browser {
    pub(crate) async fn open(programs: &(PathBuf, PathBuf), width: u32, height: u32) -> Self {
        let (chromium, chromedriver) = programs;
        let port = free_port();
        let driver = Command::new(chromedriver)
            .arg(format!("--port={port}"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let profile = tempfile::tempdir().unwrap();
        let base = format!("http://127.0.0.1:{port}");
        let mut browser =
            Self { driver, session: base.clone(), http: reqwest::Client::new(), _profile: profile };
        browser.answers(&base).await;
        let profile = browser._profile.path().display();
        let wanted = json!({"capabilities": {"alwaysMatch": {"goog:chromeOptions": {
            "binary": chromium,
            "args": ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic",
                "--no-first-run", "--disable-background-networking",
                "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage",
                "--force-device-scale-factor=1", "--hide-scrollbars", "--lang=en",
                format!("--user-data-dir={profile}")],
        }}}});
        let session = browser.post("/session", &wanted).await;
        browser.session = format!("{base}/session/{}", session["sessionId"].as_str().unwrap());
        browser.resize(width, height).await;
        browser
    }

    /// Ends the session, and with it the browser. Nothing asynchronous: it is called by a drop.
    fn end(&self) -> std::io::Result<()> {
        let address = self.session.trim_start_matches("http://");
        let (host, path) = address.split_once('/').unwrap_or((address, ""));
        let mut stream = std::net::TcpStream::connect(host)?;
        stream.set_read_timeout(Some(Duration::from_secs(5)))?;
        let request =
            format!("DELETE /{path} HTTP/1.1\r\nhost: {host}\r\ncontent-length: 0\r\n\r\n");
        stream.write_all(request.as_bytes())?;
        stream.read(&mut [0; 64]).map(|_answered| ())
    }

    async fn answers(&self, base: &str) {
        let started = Instant::now();
        while self.http.get(format!("{base}/status")).send().await.is_err() {
            assert!(started.elapsed() < PATIENCE, "chromedriver does not answer");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    async fn post(&self, path: &str, body: &Value) -> Value {
        self.try_post(path, body).await.unwrap_or_else(|error| panic!("{path}: {error}"))
    }

    async fn try_post(&self, path: &str, body: &Value) -> Result<Value, String> {
        let sent = self.http.post(format!("{}{path}", self.session)).json(body).send().await;
        let mut answer: Value = sent.unwrap().json().await.unwrap();
        let value = answer["value"].take();
        match value["error"].as_str() {
            Some(error) => Err(format!("{error}: {}", value["message"])),
            None => Ok(value),
        }
    }

    /// The size of the page itself: a window in a headless browser has its own least width.
    pub(crate) async fn resize(&self, width: u32, height: u32) {
        let metrics =
            json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": false});
        let command = json!({"cmd": "Emulation.setDeviceMetricsOverride", "params": metrics});
        self.post("/goog/cdp/execute", &command).await;
    }

    pub(crate) async fn go(&self, url: &str) {
        self.post("/url", &json!({"url": url})).await;
    }

    /// Runs a script in the page, and gives what it returns.
    pub(crate) async fn script(&self, script: &str) -> Value {
        self.post("/execute/sync", &json!({"script": script, "args": []})).await
    }

    /// Waits until an expression is true.
    pub(crate) async fn until(&self, expression: &str) {
        let started = Instant::now();
        let script = format!("return Boolean({expression})");
        while self.script(&script).await != true {
            if started.elapsed() > PATIENCE {
                panic!("it never came true that {expression}:\n{}", self.text().await);
            }
            tokio::time::sleep(Duration::from_millis(60)).await;
        }
    }

    /// All that is to be read on the page.
    async fn text(&self) -> String {
        self.script("return document.body.innerText").await.as_str().unwrap().to_owned()
    }

    /// Waits until some text is to be read in an element.
    pub(crate) async fn reads(&self, css: &str, text: &str) {
        let (css, text) = (json!(css), json!(text));
        let all = format!("[...document.querySelectorAll({css})]");
        self.until(&format!("{all}.some((one) => one.innerText.includes({text}))")).await;
    }

    async fn find(&self, css: &str) -> Result<String, String> {
        let wanted = json!({"using": "css selector", "value": css});
        let found = self.try_post("/element", &wanted).await?;
        Ok(found[ELEMENT].as_str().unwrap().to_owned())
    }

    /// Clicks where a person would: an element that is covered, hidden or moving is tried again.
    pub(crate) async fn click(&self, css: &str) {
        let started = Instant::now();
        loop {
            let clicked = match self.find(css).await {
                Ok(element) => {
                    self.try_post(&format!("/element/{element}/click"), &json!({})).await
                }
                Err(error) => Err(error),
            };
            match clicked {
                Ok(_) => return,
                Err(error) if started.elapsed() > PATIENCE => {
                    panic!("click {css}: {error}\n{}", self.text().await)
                }
                Err(_not_yet) => tokio::time::sleep(Duration::from_millis(80)).await,
            }
        }
    }

    /// Presses keys, wherever the focus is.
    pub(crate) async fn keys(&self, keys: &str) {
        let presses: Vec<Value> = keys
            .chars()
            .flat_map(|key| {
                [json!({"type": "keyDown", "value": key}), json!({"type": "keyUp", "value": key})]
            })
            .collect();
        let actions = json!({"actions": [{"type": "key", "id": "keyboard", "actions": presses}]});
        self.post("/actions", &actions).await;
    }

    /// Tabs on until the element with the focus matches.
    pub(crate) async fn tab_to(&self, css: &str) {
        let script = format!("return Boolean(document.activeElement?.matches({}))", json!(css));
        for _ in 0..80 {
            if self.script(&script).await == true {
                return;
            }
            self.keys(TAB).await;
        }
        panic!("80 tabs do not reach {css}");
    }

    /// Chooses an option of a native menu.
    pub(crate) async fn choose(&self, css: &str, value: &str) {
        let option = format!("{css} option[value=\"{value}\"]");
        self.until(&format!("document.querySelector({})", json!(option))).await;
        self.click(&option).await;
    }

    /// Writes what is to be seen as a PNG.
    pub(crate) async fn screenshot(&self, path: &std::path::Path) {
        let answer = self.http.get(format!("{}/screenshot", self.session)).send().await.unwrap();
        let answer: Value = answer.json().await.unwrap();
        std::fs::write(path, base64(answer["value"].as_str().unwrap())).unwrap();
    }
}

fn free_port() -> u16 {
    std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port()
}

fn base64(text: &str) -> Vec<u8> {
    let value = |byte: u8| match byte {
        b'A'..=b'Z' => byte - b'A',
        b'a'..=b'z' => byte - b'a' + 26,
        b'0'..=b'9' => byte - b'0' + 52,
        b'+' => 62,
        _slash => 63,
    };
    let sextets: Vec<u32> =
        text.bytes().filter(|byte| *byte != b'=').map(|byte| u32::from(value(byte))).collect();
    let mut bytes = Vec::new();
    for group in sextets.chunks(4) {
        let bits =
            group.iter().fold(0, |bits, sextet| (bits << 6) | sextet) << (6 * (4 - group.len()));
        bytes.extend_from_slice(&bits.to_be_bytes()[1..group.len()]);
    }
    bytes
}
