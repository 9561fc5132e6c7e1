//! Why there is no backend.

/// Why a [`Config`](crate::Config) was not accepted. Nothing was sent.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum SetupError {
    /// Not an address.
    #[error("the address of the CD system is not a URL with `https://` and a host; correct `url`")]
    UrlMalformed,
    /// It carries more than a place, possibly a secret.
    #[error(
        "the address of the CD system has a user, a password, a query or a fragment; give only \
         scheme, host, port and path, and the token apart from it"
    )]
    UrlNotPlain,
    /// The token would travel readable.
    #[error(
        "the address of the CD system must begin with `https://`, since the token is sent there; \
         `http://` is for this machine, unless plain text is allowed on purpose"
    )]
    UrlNotSecure,
    /// Empty, or with a character that no token has.
    #[error("the token is empty or has a character that no token has; set it again")]
    TokenMalformed,
    /// The HTTP client cannot be built: certificates or TLS.
    #[error("the HTTP client cannot be set up on this machine; look at its certificates")]
    HttpClient,
}
