//! TLS for the driver: a certificate that is not verified is not taken.

use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{CertificateError, ClientConfig, RootCertStore};
use rustls_platform_verifier::BuilderVerifierExt as _;
use std::error::Error;
use std::future::Future;
use std::io;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_postgres::tls::{ChannelBinding, MakeTlsConnect, TlsConnect, TlsStream};
use tokio_rustls::{TlsConnector, client};

/// Verifies servers and talks to them in secret.
#[derive(Clone)]
pub(super) struct Tls {
    connector: TlsConnector,
}

impl Tls {
    /// Trusts the authorities of a file, or else those that the system trusts. Servers that ask who we
    /// are are shown the certificates of the first file of an identity, with the key of the second.
    pub(super) fn new(
        roots: Option<&Path>,
        identity: Option<(&Path, &Path)>,
    ) -> Result<Self, String> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| error.to_string())?;
        let builder = match roots {
            Some(path) => builder.with_root_certificates(roots_of(path)?),
            None => builder.with_platform_verifier().map_err(|error| error.to_string())?,
        };
        let config = match identity {
            Some((certificate, key)) => {
                let pair = (certificates_of(certificate)?, key_of(key)?);
                builder.with_client_auth_cert(pair.0, pair.1).map_err(|error| {
                    format!(
                        "the certificate in `{}` and the key in `{}` cannot be shown: {error}",
                        certificate.display(),
                        key.display()
                    )
                })?
            }
            None => builder.with_no_client_auth(),
        };
        Ok(Self { connector: Arc::new(config).into() })
    }
}

/// What is wrong with a server's certificate, for whoever can fix it; none when that is not what an
/// error is about.
pub(super) fn words(error: &tokio_postgres::Error) -> Option<String> {
    let refused = error.source()?.downcast_ref::<io::Error>()?.get_ref()?;
    let rustls::Error::InvalidCertificate(why) = refused.downcast_ref::<rustls::Error>()? else {
        return None;
    };
    let said = format!("its certificate is not good: {why}");
    // An authority of the same name with another key is another authority.
    if matches!(why, CertificateError::UnknownIssuer | CertificateError::BadSignature) {
        let where_to = "name the file with its authority by `sslrootcert` in the URL";
        return Some(format!("its certificate is not of an authority trusted here; {where_to}"));
    }
    if let CertificateError::NotValidForNameContext { expected, presented } = why {
        return Some(format!(
            "its certificate is for {}, and not for `{}`, by which it was reached",
            presented.join(", "),
            expected.to_str(),
        ));
    }
    Some(said)
}

fn certificates_of(path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let unreadable = |error: &dyn std::fmt::Display| {
        format!("the certificates in `{}` cannot be read: {error}", path.display())
    };
    let found = CertificateDer::pem_file_iter(path).map_err(|error| unreadable(&error))?;
    let found = found.collect::<Result<Vec<_>, _>>().map_err(|error| unreadable(&error))?;
    if found.is_empty() { Err(unreadable(&"there is none")) } else { Ok(found) }
}

fn key_of(path: &Path) -> Result<PrivateKeyDer<'static>, String> {
    PrivateKeyDer::from_pem_file(path)
        .map_err(|error| format!("the key in `{}` cannot be read: {error}", path.display()))
}

fn roots_of(path: &Path) -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates_of(path)? {
        roots.add(certificate).map_err(|error| {
            format!("the certificates in `{}` cannot be read: {error}", path.display())
        })?;
    }
    Ok(roots)
}

impl<S: AsyncRead + AsyncWrite + Send + Unpin + 'static> MakeTlsConnect<S> for Tls {
    type Stream = Secured<S>;
    type TlsConnect = Handshake;
    type Error = rustls::pki_types::InvalidDnsNameError;

    fn make_tls_connect(&mut self, domain: &str) -> Result<Handshake, Self::Error> {
        let name = ServerName::try_from(domain.to_owned())?;
        Ok(Handshake { connector: self.connector.clone(), name })
    }
}

/// One handshake with one server.
pub(super) struct Handshake {
    connector: TlsConnector,
    name: ServerName<'static>,
}

impl<S: AsyncRead + AsyncWrite + Send + Unpin + 'static> TlsConnect<S> for Handshake {
    type Stream = Secured<S>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Secured<S>>> + Send>>;

    fn connect(self, stream: S) -> Self::Future {
        Box::pin(async move { self.connector.connect(self.name, stream).await.map(Secured) })
    }
}

/// A connection that nobody else can read.
pub(super) struct Secured<S>(client::TlsStream<S>);

impl<S: AsyncRead + AsyncWrite + Unpin> TlsStream for Secured<S> {
    fn channel_binding(&self) -> ChannelBinding {
        ChannelBinding::none()
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Secured<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, into)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Secured<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}
