//! Why there is no client.

/// Why a [`ClientConfig`](crate::ClientConfig) was not accepted. Nothing was sent. It repeats
/// nothing of the configuration, which may hold a secret in the wrong place.
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
    /// A part is empty, or has a character that it cannot have.
    #[error(
        "the user name or the password is empty or has a control character, or the user name has \
         a colon; set them again"
    )]
    LoginMalformed,
    /// A header that is sent with each request cannot be one.
    #[error("a header that is to be sent with each request is malformed; correct it")]
    HeaderMalformed,
    /// No certificate is in what should be one.
    #[error(
        "the file of certificate authorities has no certificate in PEM form that can be used; \
         correct it"
    )]
    CertificateMalformed,
    /// The HTTP client cannot be built: certificates or TLS.
    #[error("the HTTP client cannot be set up on this machine; look at its certificates")]
    HttpClient,
}
