//! A cluster of ours as somebody else's: what a person has who is lent one is a kubeconfig, and no
//! servers.

use crate::{LENT, Lab};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;
use std::process::{Command, Stdio};

/// Tells the borrower apart from a person who runs the tests on a cluster of theirs.
const BORROWER: &str = "KUBE_LAB_BORROWER";

impl Lab {
    /// Runs a test of the calling binary once more, in a process of its own that is lent this
    /// cluster by `ROLLBACK_TEST_KUBECONFIG` and has nothing else of it. Fails when the test does,
    /// or skips anything.
    pub fn lend_to(&self, test: &str) {
        let folder = tempfile::TempDir::with_prefix("kube-lab-lent-").unwrap();
        let kubeconfig = folder.path().join("config");
        std::fs::write(&kubeconfig, self.as_a_person_has_it()).unwrap();
        let borrowed = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", test, "--nocapture"])
            .env(LENT, kubeconfig)
            .env(BORROWER, "yes")
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let made_by_it = format!("-{}-", borrowed.id());
        let borrowed = borrowed.wait_with_output().unwrap();
        let (out, err) =
            (String::from_utf8_lossy(&borrowed.stdout), String::from_utf8_lossy(&borrowed.stderr));
        assert!(borrowed.status.success(), "the borrower failed: {err}\n{out}");
        assert!(out.contains("1 passed"), "there is no test `{test}`: {out}");
        assert!(!err.contains("SKIPPED"), "the borrower did not do all of it: {err}");
        let stay = self.namespaces_that_stay();
        let left: Vec<&String> = stay.iter().filter(|name| name.contains(&made_by_it)).collect();
        assert!(left.is_empty(), "the borrower left {left:?} behind");
    }

    /// The namespaces that are not being deleted.
    fn namespaces_that_stay(&self) -> Vec<String> {
        let list = async {
            let request = http::Request::get("/api/v1/namespaces").body(Vec::new()).unwrap();
            let all: serde_json::Value = self.client().await.request(request).await.unwrap();
            all["items"].as_array().cloned().unwrap_or_default()
        };
        // A runtime cannot be blocked on from within another one.
        let listed = std::thread::scope(|scope| {
            scope.spawn(|| self.runtime.block_on(list)).join().expect("a list")
        });
        let stays =
            |namespace: &&serde_json::Value| namespace["metadata"]["deletionTimestamp"].is_null();
        let name = |namespace: &serde_json::Value| {
            namespace["metadata"]["name"].as_str().unwrap_or_default().to_owned()
        };
        listed.iter().filter(stays).map(name).collect()
    }

    /// The lab of a process that [`Self::lend_to`] started; none in every other one, whose tests
    /// that are the borrower's do nothing.
    #[must_use]
    pub fn borrowed() -> Option<&'static Self> {
        std::env::var_os(BORROWER)?;
        let lab = Self::shared("a borrowed cluster").expect("a cluster was lent");
        assert!(!lab.is_ours(), "a cluster was lent, and another one is used");
        Some(lab)
    }

    /// Several clusters in one kubeconfig, of which the lent one is not the first; its certificate
    /// within.
    fn as_a_person_has_it(&self) -> String {
        let own = kube::config::Kubeconfig::read_from(self.kubeconfig()).unwrap();
        // A kubeconfig's own type hides its token; as text it does not.
        let mut made = serde_json::to_value(&own).unwrap();
        let cluster = &mut made["clusters"][0]["cluster"];
        let certificate = cluster["certificate-authority"].take();
        let certificate = std::fs::read(certificate.as_str().expect("a file")).unwrap();
        cluster["certificate-authority-data"] = STANDARD.encode(certificate).into();
        let lists = [
            ("clusters", json!({"name": "home", "cluster": {"server": "https://127.0.0.1:1"}})),
            ("users", json!({"name": "home", "user": {"token": "not-of-this-cluster"}})),
            ("contexts", json!({"name": "home", "context": {"cluster": "home", "user": "home"}})),
        ];
        for (list, other) in lists {
            made[list].as_array_mut().unwrap().insert(0, other);
        }
        made.to_string()
    }
}
