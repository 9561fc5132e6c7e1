//! A proxy that the environment names is for other programs.

use crate::peer::{Does, Peer, TOKEN, answer, at_most, order};
use rollback_outbound::{Client, ClientConfig, Credential, Proved};
use tokio::process::Command;

/// Where the child below asks.
const ADDRESS: &str = "ROLLBACK_OUTBOUND_TEST_ADDRESS";
const PROXIES: [&str; 6] =
    ["HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"];

#[tokio::test]
async fn a_proxy_of_the_environment_is_not_used() {
    let api = Peer::that(Does::Say(answer("200 OK", "application/json", "{}")));
    let proxy = Peer::that(Does::Say(answer("200 OK", "application/json", "{}")));
    let mut child = Command::new(std::env::current_exe().unwrap());
    child
        .args(["--exact", "proxy::asks_where_the_environment_says", "--ignored"])
        .env(ADDRESS, api.address().to_string())
        .env_remove("NO_PROXY")
        .env_remove("no_proxy")
        // Where this is set, every client takes the environment for a CGI script's.
        .env_remove("REQUEST_METHOD");
    for name in PROXIES {
        child.env(name, format!("http://{}", proxy.address()));
    }
    let output = child.output().await.unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.contains("1 passed"), "{said}");
    // The first is a client without this crate's rules: the environment does name a proxy.
    assert_eq!((proxy.connections(), api.connections()), (1, 1));
    assert!(!proxy.was_sent().contains(TOKEN), "{}", proxy.was_sent());
}

#[tokio::test]
#[ignore = "run by a_proxy_of_the_environment_is_not_used, in a process with its own environment"]
async fn asks_where_the_environment_says() {
    let url = format!("http://{}", std::env::var(ADDRESS).unwrap());
    let other = reqwest::Client::new().get(&url).send().await.unwrap();
    assert_eq!(other.status(), 200);
    let client = Client::new(&ClientConfig::new(url, Credential::bearer(TOKEN))).unwrap();
    assert!(matches!(at_most(client.send(order()).await), Proved::Success(_)));
}
