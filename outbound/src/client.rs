//! The client: settings, one call, its answer.
//!
//! Headers are built from scratch by the caller; nothing is added but what HTTP itself needs.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use futures_util::{StreamExt, stream::BoxStream};
use http::{HeaderMap, Method, StatusCode};
use ipnet::IpNet;
use reqwest::{Client, Proxy, redirect};
use url::Url;

use crate::{
    address::{AllowList, Reach, judge, judge_proxy, judge_url},
    error::SendError,
    resolver::{Guarded, LookUp, of_the_machine},
};

/// Connections kept warm for the next call to the same provider.
const IDLE_CONNECTIONS_PER_HOST: usize = 64;

/// How the way out is set up; [`Default`] is public https only, without a proxy.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Networks that may be reached although they are not public, and by plain HTTP too.
    pub allowed_cidrs: Vec<IpNet>,
    /// Ports of public addresses that may be reached beside 443.
    pub allowed_ports: Vec<u16>,
    /// An egress proxy (`http`, `https`, `socks5`, `socks5h`); names are then resolved by the proxy.
    pub proxy: Option<Url>,
    /// How long name, TCP and TLS may take together.
    pub connect_timeout: Duration,
    /// How long an answer may take to begin, unless a call says otherwise.
    pub header_timeout: Duration,
    /// How long a body may be silent.
    pub idle_timeout: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            allowed_cidrs: Vec::new(),
            allowed_ports: Vec::new(),
            proxy: None,
            connect_timeout: Duration::from_secs(5),
            header_timeout: Duration::from_mins(1),
            idle_timeout: Duration::from_mins(2),
        }
    }
}

/// Why the settings make no client.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// The proxy address has a scheme that is not supported, or no host.
    #[error("the egress proxy must be an http, https or socks5 address with a host")]
    Proxy,
    /// The TLS or client set-up failed.
    #[error("the outbound client cannot be set up: {0}")]
    Setup(String),
}

/// The guarded HTTP client. Cheap to clone; connections are pooled by host.
#[derive(Clone)]
pub struct Outbound {
    tls: Client,
    plain: Client,
    allowed: AllowList,
    settings: Settings,
    ground: Ground,
    /// Clients through the proxies that single calls name, made when first needed.
    through: Arc<Mutex<HashMap<Url, Client>>>,
}

/// What every connection rests on: whom to believe, and where names lead.
#[derive(Clone)]
struct Ground {
    roots: Arc<rustls::RootCertStore>,
    look_up: LookUp,
}

impl Ground {
    /// The Mozilla roots, so that a bare container needs no certificate store, and the machine's own names.
    fn usual() -> Self {
        let mut roots = rustls::RootCertStore::empty();
        roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
        Self {
            roots: Arc::new(roots),
            look_up: of_the_machine(),
        }
    }
}

/// Proxies of single calls whose clients are kept; there are as many as operators type.
const PROXIES_MAX: usize = 256;

/// One request to make.
#[derive(Clone, Debug)]
pub struct Call {
    /// The method.
    pub method: Method,
    /// Where to.
    pub url: Url,
    /// Every header to send, the credential among them.
    pub headers: HeaderMap,
    /// The whole body; empty for none.
    pub body: Bytes,
    /// A limit of its own for the answer to begin: an answer that is not streamed begins when it is complete.
    pub header_timeout: Option<Duration>,
    /// An egress proxy of its own, in place of the usual way.
    pub proxy: Option<Url>,
}

/// An answer whose body has not been read yet.
#[derive(Debug)]
pub struct Answer {
    response: reqwest::Response,
    idle: Duration,
}

/// The pieces of a body as they arrive.
pub type BodyStream = BoxStream<'static, Result<Bytes, SendError>>;

impl Outbound {
    /// Builds the client. Fails only on settings that cannot work.
    pub fn new(settings: &Settings) -> Result<Self, SettingsError> {
        Self::on(Ground::usual(), settings)
    }

    fn on(ground: Ground, settings: &Settings) -> Result<Self, SettingsError> {
        let allowed = AllowList::new(
            settings.allowed_cidrs.clone(),
            settings.allowed_ports.clone(),
        );
        let proxy = settings.proxy.as_ref();
        Ok(Self {
            tls: client(
                &ground,
                settings,
                Reach::Public,
                &allowed,
                proxy.map(Trusted),
            )?,
            // Listed networks are near by definition; only public addresses are reached through the proxy.
            plain: client(&ground, settings, Reach::ListedOnly, &allowed, None)?,
            allowed,
            settings: settings.clone(),
            ground,
            through: Arc::default(),
        })
    }

    /// Whether an address could be called at all, as far as its text tells; a form asks before it saves.
    pub fn check(&self, url: &Url) -> Result<(), SendError> {
        judge_url(url, &self.allowed)?;
        Ok(())
    }

    /// Whether a proxy could be used, as far as its text tells; a form asks before it saves.
    pub fn check_proxy(&self, proxy: &Url) -> Result<(), SendError> {
        judge_proxy(proxy, &self.allowed)?;
        Ok(())
    }

    /// A proxy resolves names itself, so what a name stands for is looked up here first. A name that only the proxy knows
    /// is left to it.
    async fn vet(&self, url: &Url) -> Result<(), SendError> {
        let Some(url::Host::Domain(host)) = url.host() else {
            return Ok(());
        };
        let found = (self.ground.look_up)(host.to_owned()).await;
        for address in found.into_iter().flatten() {
            judge(host, address.ip(), Reach::Public, &self.allowed)?;
        }
        Ok(())
    }

    /// The client through a proxy that was typed into a form: its address is judged like any other.
    fn through(&self, proxy: &Url) -> Result<Client, SendError> {
        judge_proxy(proxy, &self.allowed)?;
        let mut known = self.through.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(client) = known.get(proxy) {
            return Ok(client.clone());
        }
        let made = client(
            &self.ground,
            &self.settings,
            Reach::Public,
            &self.allowed,
            Some(Judged(proxy)),
        )
        .map_err(|error| SendError::Connect(error.to_string()))?;
        if known.len() >= PROXIES_MAX {
            known.clear();
        }
        known.insert(proxy.clone(), made.clone());
        Ok(made)
    }

    /// Sends one request and waits for its answer to begin. Redirects come back as they are.
    pub async fn send(&self, call: Call) -> Result<Answer, SendError> {
        let reach = judge_url(&call.url, &self.allowed)?;
        let client = match (reach, &call.proxy) {
            (Reach::ListedOnly, _) => self.plain.clone(),
            (Reach::Public, Some(proxy)) => {
                self.vet(&call.url).await?;
                self.through(proxy)?
            }
            (Reach::Public, None) => {
                if self.settings.proxy.is_some() {
                    self.vet(&call.url).await?;
                }
                self.tls.clone()
            }
        };
        let limit = call.header_timeout.unwrap_or(self.settings.header_timeout);
        let request = client
            .request(call.method, call.url)
            .headers(call.headers)
            .body(call.body);

        let response = tokio::time::timeout(limit, request.send())
            .await
            .map_err(|_| SendError::NoAnswer)??;

        Ok(Answer {
            response,
            idle: self.settings.idle_timeout,
        })
    }
}

impl Answer {
    /// The status line's code.
    pub fn status(&self) -> StatusCode {
        self.response.status()
    }

    /// The headers as they came; what may be passed on is the caller's to choose.
    pub fn headers(&self) -> &HeaderMap {
        self.response.headers()
    }

    /// The body in pieces. How long it may be silent is its reader's to limit, who need not do so anew at each piece.
    pub fn into_stream(self) -> BodyStream {
        self.response
            .bytes_stream()
            .map(|piece| piece.map_err(SendError::from))
            .boxed()
    }

    /// The whole body, at most `limit` bytes of it, each piece within the idle limit.
    pub async fn read(self, limit: usize) -> Result<Bytes, SendError> {
        let idle = self.idle;
        let mut pieces = self.into_stream();
        let mut body = BytesMut::new();
        loop {
            let next = tokio::time::timeout(idle, pieces.next()).await;
            let Some(piece) = next.map_err(|_| SendError::Silent)? else {
                return Ok(body.freeze());
            };
            let piece = piece?;
            if body.len() + piece.len() > limit {
                return Err(SendError::TooLarge { limit });
            }
            body.extend_from_slice(&piece);
        }
    }
}

/// Who answers for a proxy's own address.
#[derive(Clone, Copy)]
enum Via<'a> {
    /// The configuration file, so that it may be anywhere.
    Trusted(&'a Url),
    /// A form, so that it is judged like any other address.
    Judged(&'a Url),
}

use Via::{Judged, Trusted};

fn client(
    ground: &Ground,
    settings: &Settings,
    reach: Reach,
    allowed: &AllowList,
    via: Option<Via<'_>>,
) -> Result<Client, SettingsError> {
    let (proxy, trusted) = match via {
        None => (None, None),
        Some(Trusted(proxy)) => (Some(proxy), Some(proxy)),
        Some(Judged(proxy)) => (Some(proxy), None),
    };
    let mut builder = Client::builder()
        .no_proxy()
        .redirect(redirect::Policy::none())
        .retry(reqwest::retry::never())
        .referer(false)
        .user_agent("tollgate")
        .connect_timeout(settings.connect_timeout)
        .pool_max_idle_per_host(IDLE_CONNECTIONS_PER_HOST)
        .tcp_nodelay(true)
        .tls_backend_preconfigured(tls_config(ground)?)
        .dns_resolver(Guarded {
            reach,
            allowed: allowed.clone(),
            look_up: Arc::clone(&ground.look_up),
            proxy_host: trusted.and_then(Url::host_str).map(str::to_owned),
        });
    if let Some(url) = proxy {
        let known = matches!(url.scheme(), "http" | "https" | "socks5" | "socks5h");
        if !known || url.host_str().is_none() {
            return Err(SettingsError::Proxy);
        }
        // Names are the proxy's to resolve, so that a network without names of its own works too.
        let address = match url.as_str().strip_prefix("socks5://") {
            Some(rest) => format!("socks5h://{rest}"),
            None => url.as_str().to_owned(),
        };
        builder = builder.proxy(Proxy::all(address).map_err(setup)?);
    }
    builder.build().map_err(setup)
}

/// TLS 1.2 and 1.3 with ring.
fn tls_config(ground: &Ground) -> Result<rustls::ClientConfig, SettingsError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    Ok(rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| SettingsError::Setup(error.to_string()))?
        .with_root_certificates(Arc::clone(&ground.roots))
        .with_no_client_auth())
}

fn setup(error: reqwest::Error) -> SettingsError {
    SettingsError::Setup(error.without_url().to_string())
}

#[cfg(test)]
mod guarded;

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    fn outbound(networks: &[&str]) -> Outbound {
        let allowed_cidrs = networks
            .iter()
            .map(|text| text.parse().expect("the tests hold networks"))
            .collect();
        Outbound::new(&Settings {
            allowed_cidrs,
            ..Settings::default()
        })
        .expect("these settings work")
    }

    fn get(url: &str) -> Call {
        Call {
            method: Method::GET,
            url: Url::parse(url).expect("the tests hold addresses"),
            headers: HeaderMap::new(),
            body: Bytes::new(),
            header_timeout: Some(Duration::from_secs(5)),
            proxy: None,
        }
    }

    /// A server that answers one connection with fixed bytes; returns its port.
    async fn serve_once(answer: &'static [u8]) -> u16 {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
            .await
            .expect("a free port");
        let port = listener.local_addr().expect("bound").port();
        tokio::spawn(async move {
            let (mut socket, _) = listener.accept().await.expect("one connection");
            let mut request = [0; 4096];
            let _read = socket.read(&mut request).await.expect("a request");
            socket.write_all(answer).await.expect("an answer");
        });
        port
    }

    #[tokio::test]
    async fn a_name_that_points_inside_is_refused_at_resolution() {
        let error = outbound(&[])
            .send(get("https://localhost:1/"))
            .await
            .expect_err("loopback");

        assert!(matches!(error, SendError::Refused(_)), "{error}");
        assert!(error.never_sent());
    }

    #[tokio::test]
    async fn plain_http_reaches_a_listed_network_only() {
        let port = serve_once(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi").await;
        let url = format!("http://localhost:{port}/");

        let refused = outbound(&["10.0.0.0/8"]).send(get(&url)).await;
        let answered = outbound(&["127.0.0.0/8", "::1/128"]).send(get(&url)).await;

        assert!(matches!(refused, Err(SendError::Refused(_))));
        let body = answered.expect("a listed network").read(10).await;
        assert_eq!(body.expect("a short body"), "hi");
    }

    #[tokio::test]
    async fn a_redirect_is_returned_and_not_followed() {
        let port = serve_once(
            b"HTTP/1.1 302 Found\r\nlocation: http://169.254.169.254/\r\ncontent-length: 0\r\n\r\n",
        )
        .await;

        let answer = outbound(&["127.0.0.0/8"])
            .send(get(&format!("http://127.0.0.1:{port}/")))
            .await;

        assert_eq!(answer.expect("an answer").status(), StatusCode::FOUND);
    }

    #[tokio::test]
    async fn a_body_past_its_cap_is_cut_off() {
        let port = serve_once(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello").await;

        let answer = outbound(&["127.0.0.0/8"])
            .send(get(&format!("http://127.0.0.1:{port}/")))
            .await;

        let body = answer.expect("an answer").read(4).await;
        assert!(matches!(body, Err(SendError::TooLarge { limit: 4 })));
    }

    #[tokio::test]
    async fn a_refused_connection_was_never_sent() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
            .await
            .expect("a free port");
        let port = listener.local_addr().expect("bound").port();
        drop(listener);

        let error = outbound(&["127.0.0.0/8"])
            .send(get(&format!("http://127.0.0.1:{port}/")))
            .await
            .expect_err("nobody listens");

        assert!(matches!(error, SendError::Connect(_)), "{error}");
        assert!(error.never_sent());
    }

    /// What a proxy at a free port hears first, and the error of a call through it.
    async fn heard(scheme: &str, target: &str, networks: &[&str]) -> (Option<Vec<u8>>, SendError) {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
            .await
            .expect("a free port");
        let port = listener.local_addr().expect("bound").port();
        let (say, said) = tokio::sync::oneshot::channel();
        tokio::spawn(async move {
            let (mut socket, _) = listener.accept().await.expect("one connection");
            let mut first = [0; 512];
            let read = socket.read(&mut first).await.expect("a request");
            drop(say.send(first[..read].to_vec()));
        });
        let proxy = Url::parse(&format!("{scheme}://127.0.0.1:{port}")).expect("an address");
        let call = Call {
            proxy: Some(proxy),
            ..get(target)
        };

        let error = outbound(networks)
            .send(call)
            .await
            .expect_err("it hangs up");

        (said.now_or_never().and_then(Result::ok), error)
    }

    #[tokio::test]
    async fn a_call_goes_through_its_own_proxy() {
        let public = "https://192-0-2-1.invalid/v1";

        let (http, _) = heard("http", public, &["127.0.0.0/8"]).await;
        let (socks, _) = heard("socks5", public, &["127.0.0.0/8"]).await;

        let http = String::from_utf8(http.expect("the proxy was asked")).expect("text");
        assert!(http.starts_with("CONNECT 192-0-2-1.invalid:443 "), "{http}");
        assert_eq!(socks.expect("the proxy was asked").first(), Some(&5));
    }

    #[tokio::test]
    async fn a_proxy_opens_no_way_to_a_private_address() {
        let networks = ["127.0.0.0/32"];
        for scheme in ["http", "socks5"] {
            let (unlisted, error) = heard(scheme, "https://192-0-2-1.invalid/", &networks).await;
            assert!(matches!(error, SendError::Refused(_)), "{error}");
            assert!(unlisted.is_none(), "the proxy itself is not listed");
        }
        for target in [
            "https://10.0.0.1/",
            "https://[fd00::1]/",
            "https://169.254.169.254/",
        ] {
            let (asked, error) = heard("http", target, &["127.0.0.0/8"]).await;
            assert!(matches!(error, SendError::Refused(_)), "{target}: {error}");
            assert!(asked.is_none(), "{target}");
        }
    }

    #[test]
    fn a_proxy_of_an_unknown_kind_is_refused() {
        let settings = Settings {
            proxy: Some(Url::parse("ftp://proxy.example:21").expect("an address")),
            ..Settings::default()
        };

        assert!(matches!(
            Outbound::new(&settings),
            Err(SettingsError::Proxy)
        ));
    }
}
