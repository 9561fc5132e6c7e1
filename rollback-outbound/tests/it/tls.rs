//! Whose certificate is trusted.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use crate::peer::{TOKEN, answer, at_most, order, request};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rollback_outbound::{Client, ClientConfig, Credential, Proved, Unsent};
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;

struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        Self { issuer: CertifiedIssuer::self_signed(params, key).unwrap() }
    }

    fn pem(&self) -> Vec<u8> {
        self.issuer.pem().into_bytes()
    }

    /// A server with a certificate of this authority for this name.
    async fn serve(&self, name: &str) -> SocketAddr {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        let config = ServerConfig::builder()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key)
            .unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let Ok(mut stream) = acceptor.accept(stream).await else { continue };
                if request(&mut stream).await.is_some() {
                    let bytes = answer("200 OK", "application/json", "{}");
                    drop(stream.write_all(&bytes).await);
                    drop(stream.shutdown().await);
                }
            }
        });
        address
    }
}

async fn asked(address: SocketAddr, authorities: Option<Vec<u8>>) -> Proved<u16> {
    let mut config = ClientConfig::new(format!("https://{address}"), Credential::bearer(TOKEN));
    config.authorities = authorities;
    at_most(Client::new(&config).unwrap().send(order()).await)
}

#[tokio::test]
async fn an_authority_that_the_site_adds_is_trusted_and_no_other() {
    let (ours, other) = (Authority::new(), Authority::new());
    let address = ours.serve("127.0.0.1").await;
    let both = [other.pem(), ours.pem()].concat();
    for authorities in [ours.pem(), both] {
        let proved = asked(address, Some(authorities)).await;
        assert!(matches!(proved, Proved::Success(_)), "{proved:?}");
    }
    let unsent = Proved::Unsent(Unsent::NoConnection);
    assert_eq!(asked(address, Some(other.pem())).await, unsent);
    assert_eq!(asked(address, None).await, unsent);
    // A trusted authority vouches for a name, and this is another one.
    let elsewhere = ours.serve("cd.example.com").await;
    assert_eq!(asked(elsewhere, Some(ours.pem())).await, unsent);
}
