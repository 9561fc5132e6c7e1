//! The web service that is deployed: a coffee shop's checkout. It knows nothing of rollbacks. What
//! it does, and whether it works, comes from the files of the release that it was started in.
//!
//! | path | answers |
//! |---|---|
//! | `/` | the checkout page, or what a customer of a broken shop sees |
//! | `/health` | 200 when the page can be made, 500 and why otherwise |
//! | `/up` | which release and which process answers; all that a deploy asks for |

use super::error::ReleasesError;
use super::folder;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{Html, IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{self, Read as _};
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;

/// How often a service looks whether another one has taken its place.
const SUCCESSION_CHECKED_EVERY: Duration = Duration::from_millis(30);
/// How long a service waits for the port of the one before it.
const PORT_WITHIN: Duration = Duration::from_secs(5);

/// How a service was called.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Serve {
    /// The deployment folder.
    pub root: PathBuf,
    /// The loopback port.
    pub port: u16,
    /// The number of this process. It ends when the folder names another.
    pub instance: u64,
}

impl Serve {
    /// Reads `<root> <port> <instance>`.
    #[must_use]
    pub fn from_args(mut args: impl Iterator<Item = String>) -> Option<Self> {
        let root = args.next()?.into();
        let port = args.next()?.parse().ok()?;
        let instance = args.next()?.parse().ok()?;
        Some(Self { root, port, instance })
    }
}

/// What `/up` answers.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) struct Up {
    pub(crate) release: String,
    pub(crate) instance: u64,
}

#[derive(Debug)]
struct Shop {
    up: Up,
    version: String,
    /// As it lies in the release. It is read when a customer comes, and so are its mistakes.
    catalog: String,
}

#[derive(Debug, Deserialize)]
struct Item {
    name: String,
    price_cents: u32,
}

/// Serves the release that `current` points to, until another process takes its place or its
/// standard input ends.
///
/// # Errors
///
/// [`ReleasesError`] when the release cannot be read or the port cannot be had.
pub async fn serve(serve: Serve) -> Result<(), ReleasesError> {
    let shop = Arc::new(Shop::load(&serve)?);
    let listener = listen(serve.port, &serve.root).await?;
    let routes = Router::new()
        .route("/", get(page))
        .route("/health", get(health))
        .route("/up", get(|State(shop): State<Arc<Shop>>| async move { Json(shop.up.clone()) }))
        .with_state(shop);
    let server = async {
        let served = axum::serve(listener, routes).await;
        served.map_err(ReleasesError::io("serve", &serve.root))
    };
    tokio::select! {
        served = server => served,
        () = succeeded(&serve) => Ok(()),
        () = lifeline_cut() => Ok(()),
    }
}

impl Shop {
    fn load(serve: &Serve) -> Result<Self, ReleasesError> {
        let current = serve.root.join("current");
        let release =
            std::fs::canonicalize(&current).map_err(ReleasesError::io("find", current))?;
        let read = |name: &str| {
            let path = release.join(name);
            std::fs::read_to_string(&path).map_err(ReleasesError::io("read", path))
        };
        let name = release.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        Ok(Self {
            up: Up { release: name.to_owned(), instance: serve.instance },
            version: read("version")?.trim().to_owned(),
            catalog: read("catalog.json")?,
        })
    }

    fn items(&self) -> Result<Vec<Item>, serde_json::Error> {
        serde_json::from_str(&self.catalog)
    }
}

/// The files of a release of the shop. A price that is no number of cents breaks the checkout, as
/// such a mistake would: only when somebody wants to pay.
#[must_use]
pub fn shop_files(version: &str, prices: &[(&str, serde_json::Value)]) -> BTreeMap<String, String> {
    let items: Vec<_> = prices
        .iter()
        .map(|(name, price)| serde_json::json!({"name": name, "price_cents": price}))
        .collect();
    BTreeMap::from([
        ("version".to_owned(), version.to_owned()),
        ("catalog.json".to_owned(), serde_json::Value::Array(items).to_string()),
    ])
}

/// The service before this one lets go of the port when it sees that this one may serve.
async fn listen(port: u16, root: &Path) -> Result<TcpListener, ReleasesError> {
    let listen = async {
        loop {
            match TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await {
                Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
                    tokio::time::sleep(SUCCESSION_CHECKED_EVERY / 2).await;
                }
                bound => return bound,
            }
        }
    };
    let bound = tokio::time::timeout(PORT_WITHIN, listen).await;
    let bound = bound.unwrap_or_else(|_elapsed| Err(io::ErrorKind::AddrInUse.into()));
    bound.map_err(ReleasesError::io("listen for", root))
}

async fn succeeded(serve: &Serve) {
    loop {
        // A folder that cannot be read names nobody else.
        if folder::instance(&serve.root).is_ok_and(|named| named > serve.instance) {
            return;
        }
        tokio::time::sleep(SUCCESSION_CHECKED_EVERY).await;
    }
}

/// Completes when whoever holds the other end of standard input is gone, however they went.
pub async fn lifeline_cut() {
    let (cut, gone) = tokio::sync::oneshot::channel::<()>();
    // A thread of its own: the runtime waits for its own blocking threads when it ends.
    std::thread::spawn(move || {
        let mut byte = [0];
        while io::stdin().read(&mut byte).is_ok_and(|read| read > 0) {}
        drop(cut);
    });
    let _cut_by_the_drop = gone.await;
}

async fn health(State(shop): State<Arc<Shop>>) -> Response {
    match shop.items() {
        Ok(items) => format!("{} things for sale", items.len()).into_response(),
        Err(error) => {
            let why = format!("the checkout cannot read its catalog: {error}");
            (StatusCode::INTERNAL_SERVER_ERROR, why).into_response()
        }
    }
}

async fn page(State(shop): State<Arc<Shop>>) -> Response {
    let (status, class, body) = match shop.items() {
        Ok(items) => (StatusCode::OK, "good", for_sale(&items)),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, "broken", sorry(&error.to_string())),
    };
    let version = escape(&shop.version);
    let html = format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>Bean &amp; Gone</title>\
         <style>{STYLE}</style><body class=\"{class}\"><header><b>Bean &amp; Gone</b>\
         <span>checkout {version}</span></header>{body}</body></html>"
    );
    (status, Html(html)).into_response()
}

fn for_sale(items: &[Item]) -> String {
    let mut body = String::from("<main><table>");
    let mut total = 0_u64;
    for item in items {
        total = total.saturating_add(item.price_cents.into());
        // Writing to a string cannot fail.
        let _infallible = write!(
            body,
            "<tr><td>{}<td class=\"price\">{}",
            escape(&item.name),
            euros(item.price_cents.into())
        );
    }
    let _infallible = write!(
        body,
        "<tr class=\"total\"><td>Total<td class=\"price\">{}</table></main>",
        euros(total)
    );
    body
}

fn sorry(why: &str) -> String {
    format!(
        "<main><h1>500</h1><p>Sorry, you cannot pay right now.</p><code>{}</code></main>",
        escape(why)
    )
}

fn euros(cents: u64) -> String {
    format!("{}.{:02} €", cents / 100, cents % 100)
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

const STYLE: &str = "\
body{font:13px/1.35 system-ui,sans-serif;margin:0;color:#20222a;background:#f6f3ee}\
header{display:flex;justify-content:space-between;padding:7px 12px;background:#4b3425;color:#fff}\
header span{opacity:.8}main{padding:3px 12px}table{width:100%;border-collapse:collapse}\
td{padding:2px 0;border-bottom:1px solid #0001}.price{text-align:right}.total td{font-weight:700}\
.broken header{background:#9b1c1c}.broken main{text-align:center}\
h1{margin:4px 0 0;font-size:26px;color:#9b1c1c}p{margin:4px 0}code{font-size:11px;color:#6b1010}";

#[cfg(test)]
mod tests {
    use super::*;

    fn shop(price: serde_json::Value) -> Shop {
        let files = shop_files("1.0", &[("Espresso", price)]);
        Shop {
            up: Up { release: "1".to_owned(), instance: 1 },
            version: files["version"].clone(),
            catalog: files["catalog.json"].clone(),
        }
    }

    #[test]
    fn a_price_that_is_no_number_breaks_the_checkout() {
        assert_eq!(shop(250.into()).items().unwrap()[0].price_cents, 250);
        assert!(shop("2.50".into()).items().is_err());
    }

    #[test]
    fn what_a_release_says_cannot_put_markup_on_the_page() {
        let items = [Item { name: "<script>alert(1)</script>".to_owned(), price_cents: 1 }];
        assert!(!for_sale(&items).contains("<script"));
        assert!(!sorry("\"><img src=x>").contains("<img"));
    }

    #[test]
    fn prices_have_two_digits_after_the_point() {
        assert_eq!([euros(5), euros(250), euros(10_000)], ["0.05 €", "2.50 €", "100.00 €"]);
    }
}
