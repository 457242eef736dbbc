//! The typed value.

use super::{Faults, Key, Secret, assemble::assemble, reader::Reader};
use identity::ring::Ring;
use outbound::{IpNet, Url};
use std::{collections::BTreeMap, net::SocketAddr, path::PathBuf, time::Duration};

/// A whole installation's settings; a value in hand is complete and consistent.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where files are kept.
    pub data_dir: PathBuf,
    /// Where the server listens; port 0 takes a free one.
    pub listen: SocketAddr,
    /// How people and clients reach it; `None` is where it listens.
    pub public_url: Option<Url>,
    /// What it is called.
    pub site_name: String,
    /// Whether strangers may sign up.
    pub sign_up_open: bool,
    /// What every API key begins with.
    pub key_prefix: String,
    /// Proxies that are believed.
    pub trusted_proxies: Vec<IpNet>,
    /// Threads that answer HTTP.
    pub workers: usize,
    /// How long running answers may go on at the end.
    pub drain: Duration,
    /// What is logged, and how.
    pub log: Log,
    /// Where rows are.
    pub database: Database,
    /// What signs, seals and keys.
    pub keys: Keys,
    /// Networks the upstream may be in although they are not public.
    pub allowed_cidrs: Vec<IpNet>,
    /// Ports of public addresses that upstream channels may use beside 443.
    pub allowed_ports: Vec<u16>,
    /// Egress proxy.
    pub proxy: Option<Url>,
    /// The payment provider; without it nothing can be bought.
    pub stripe: Option<Stripe>,
    /// How mail goes out.
    pub mail: Mail,
}

/// What is logged, and how.
#[derive(Clone, Debug)]
pub struct Log {
    /// A filter as `tracing` reads it; without one, each command has its own.
    pub filter: Option<String>,
    /// For people or for machines.
    pub format: LogFormat,
}

/// How a line of the log looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Pretty,
    /// One JSON object a line.
    Json,
}

/// Where rows are.
#[derive(Clone, Debug)]
pub struct Database {
    /// The address, which may hold a password.
    pub url: Secret,
    /// Connections for writing on PostgreSQL.
    pub connections: u32,
}

/// What signs, seals and keys.
#[derive(Clone, Debug)]
pub struct Keys {
    /// Keys API key digests.
    pub pepper: Ring,
    /// Seals upstream secrets.
    pub master: Ring,
    /// Signs form tokens.
    pub session: Key,
    /// Keys redemption code digests.
    pub code: Key,
}

/// The payment provider.
#[derive(Clone, Debug)]
pub struct Stripe {
    /// Stripe's key.
    pub secret_key: Secret,
    /// What webhooks are signed with; more than one while one is replaced.
    pub webhook_secrets: Vec<Secret>,
    /// Where Stripe's API is, if not where it always is.
    pub api_base: Option<Url>,
}

/// How mail goes out.
#[derive(Clone, Debug)]
pub struct Mail {
    /// Who it is from.
    pub from: String,
    /// By which server; without one, into files.
    pub smtp: Option<Smtp>,
}

/// A mail server.
#[derive(Clone, Debug)]
pub struct Smtp {
    /// Its name.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// How the connection is protected.
    pub tls: SmtpTls,
    /// Account and password.
    pub account: Option<(String, Secret)>,
}

/// How a connection to the mail server is protected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SmtpTls {
    /// From the first byte.
    Tls,
    /// After a greeting.
    StartTls,
    /// Not at all.
    None,
}

/// What the command line says over everything else.
#[derive(Clone, Debug, Default)]
pub struct Overrides {
    /// `--config`
    pub config: Option<PathBuf>,
    /// `--data-dir`
    pub data_dir: Option<PathBuf>,
    /// `--listen`
    pub listen: Option<SocketAddr>,
}

impl Config {
    /// Reads the environment of the process, once.
    ///
    /// # Errors
    /// Everything that is wrong, together.
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the one place that reads the environment"
    )]
    pub fn load(overrides: &Overrides) -> Result<Self, Faults> {
        Self::read(&std::env::vars().collect(), overrides)
    }

    /// Reads `environment`, the file it or the command line names, and the secrets kept in the data directory.
    ///
    /// # Errors
    /// Everything that is wrong, together.
    pub fn read(
        environment: &BTreeMap<String, String>,
        overrides: &Overrides,
    ) -> Result<Self, Faults> {
        let path = overrides
            .config
            .clone()
            .or_else(|| environment.get("TOLLGATE_CONFIG").map(PathBuf::from));
        let file = path
            .as_deref()
            .map(|path| (path, std::fs::read_to_string(path)));
        let text = file.as_ref().and_then(|(_, text)| text.as_ref().ok());
        let mut reader = Reader::gather(environment, text.map(String::as_str));
        if let Some((path, Err(fault))) = &file {
            reader.faults.add(
                "TOLLGATE_CONFIG",
                format!("{} cannot be read: {fault}", path.display()),
                "name a file that this process may read, or none",
            );
        }
        assemble(reader, overrides)
    }

    /// How people and clients reach an installation that listens at `address`.
    pub fn public_url(&self, address: SocketAddr) -> Url {
        self.public_url.clone().unwrap_or_else(|| {
            Url::parse(&format!("http://{address}/"))
                .expect("a socket address is a host and a port")
        })
    }
}
